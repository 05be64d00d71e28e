"""The ends of `size` against enumeration, and its costs by hand."""

from __future__ import annotations

import json

import pytest

from llmsched_mip.cli import main
from llmsched_mip.errors import InfeasibleInstanceError
from llmsched_mip.instance import Instance, Requests
from llmsched_mip.io.files import read_instance, write_instance
from llmsched_mip.operations.running_cost import running_cost
from llmsched_mip.operations.sizing import fleet_of, size
from llmsched_mip.plan import Plan, Stage
from llmsched_mip.timing import AffinePrefill, DecodeTime
from llmsched_mip.worker import Cost, Worker

WORKER = Worker("gpu", AffinePrefill(1.0, 0.0), DecodeTime(1.0), 1)
"""One slot: every request takes its rounds and a prefill iteration of 1 s."""
FOUR = Instance("four", Requests(["a", "b", "c", "d"], [1, 1, 1, 1], [3, 3, 2, 2]), (WORKER,))
OPTIMA = {1: 14, 2: 7, 3: 6, 4: 4}
"""By hand: jobs of 4, 4, 3 and 3 s."""


@pytest.mark.parametrize(("deadline_s", "fewest"), [(14, 1), (13.9, 2), (7, 2), (6.9, 3), (6, 3), (5.9, 4), (4, 4)])
def test_both_ends_meet_at_the_optimum(deadline_s, fewest):
    found = size(FOUR, WORKER, deadline_s, time_limit_s=2, threads=1)
    assert found.fewest == fewest
    assert found.impossible <= fewest - 1
    assert all(step.bound <= OPTIMA[step.workers] * (1 + 1e-9) for step in found.steps)
    assert all(step.value is None or step.value >= OPTIMA[step.workers] * (1 - 1e-9) for step in found.steps)


def test_no_number_of_workers_beats_the_longest_request():
    with pytest.raises(InfeasibleInstanceError, match=r"with a worker a request, 4, it takes at least 4\.0000 s"):
        size(FOUR, WORKER, 3.9)


def test_costs_by_hand():
    """Two workers, the first busy 7 s, the second 3 s of 7."""
    fleet = fleet_of(FOUR.take([0, 2, 3]), WORKER, 2)
    plan = Plan.of(fleet, "by hand", [[Stage([0], [0], 3), Stage([1], [0], 2)], [Stage([2], [0], 2)]])
    cost = running_cost(fleet, plan, Cost(3600.0, 1000.0, 5000.0), gpus=4)
    assert cost.gpu_hours == pytest.approx(4 * 14 / 3600)
    assert cost.price == pytest.approx(14.0) and cost.busy == pytest.approx(10 / 14)
    assert cost.energy_kwh == pytest.approx((10 * 5 + 4 * 1) / 3600)
    assert cost.per_million("price") == pytest.approx(14.0 / 10 * 1e6)
    assert cost.per_million("price", True) == pytest.approx(14.0 / 7 * 1e6)
    assert running_cost(fleet, plan, Cost()).price is None


def test_workers_are_those_of_an_import(tmp_path, capsys):
    """A prompt above the engine's budget; three copies, or another deployment that is named."""
    (tmp_path / "t.csv").write_text("prefill_tokens,decode_tokens\n9000,2\n5,1\n")
    paths = {name: str(tmp_path / name) for name in ("t.csv", "i.json", "j.json", "f.json")}
    for name, options in (("opt-66b-a100-tp4", []), ("llama31-8b-rtx4090", ["--worker", "llama31-8b-rtx4090"])):
        imported = ["import", "csv", paths["t.csv"], "--backlog", "--worker"]
        assert main([*imported, "opt-66b-a100-tp4", "--workers", "3", "-o", paths["i.json"]]) == 0
        assert main([*imported, name, "-o", paths["j.json"]]) == 0
        limits = ["--deadline", "9h", "--time-limit", "1", "--threads", "1"]
        assert main(["size", paths["i.json"], *limits, *options, "--fleet", paths["f.json"]]) == 0
        assert read_instance(paths["f.json"]).workers == read_instance(paths["j.json"]).workers


def test_the_command_writes_what_it_says(tmp_path, capsys):
    write_instance(FOUR, tmp_path / "i.json")
    files = {name: str(tmp_path / name) for name in ("p.json", "f.json", "c.svg")}
    arguments = ["size", str(tmp_path / "i.json"), "--deadline", "7s", "--time-limit", "2", "--threads", "1"]
    arguments += ["--plan", files["p.json"], "--fleet", files["f.json"], "--chart", files["c.svg"]]
    assert main([*arguments, "--json", "--price-per-hour", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["fewest"], document["impossible"], document["deadline"]) == (2, 1, "7.00 s")
    assert document["steps"][1]["cost"]["price"] == pytest.approx(2 * 14 / 3600)
    assert main(["check", files["f.json"], files["p.json"]]) == 0
    assert "provably too few" in (tmp_path / "c.svg").read_text()
    assert main(["size", str(tmp_path / "i.json"), "--deadline", "3.9s"]) == 1
