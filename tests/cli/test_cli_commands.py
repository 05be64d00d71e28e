"""Every command, its output on both streams, its exit code and the keys of its JSON object."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys

import pytest

from llmsched_mip import Instance, Plan, Requests, Stage, Worker, read_instance, write_instance, write_plan
from llmsched_mip.cli import main
from llmsched_mip.timing import AffinePrefill, DecodeTime

REPLAY_KEYS = [
    *("instance", "policy", "makespan", "total_completion", "mean_latency", "p99_latency", "utilization"),
    *("mean_time_to_first_token", "prefill_iterations", "decode_rounds", "evictions", "kv_peak", "seconds"),
]


@pytest.fixture
def tiny() -> Instance:
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0, 0.1, 0.01), slots=2)
    return Instance("tiny", Requests(["a", "b", "c"], [3, 4, 5], [4, 2, 2]), (worker,))


@pytest.fixture
def instance_file(tiny, tmp_path):
    write_instance(tiny, tmp_path / "tiny.json")
    return str(tmp_path / "tiny.json")


@pytest.fixture
def plan(tiny) -> Plan:
    stages = [Stage([0, 1], [0, 1], 2), Stage([2], [1], 2)]
    return Plan.of(tiny, "by hand", [stages])


@pytest.fixture
def plan_file(tiny, plan, tmp_path):
    write_plan(plan, tiny, tmp_path / "plan.json")
    return str(tmp_path / "plan.json")


@pytest.fixture
def run(capsys):
    """Run a command; returns exit code, standard output, standard error."""

    def call(*arguments: str):
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_version(run):
    code, out, err = run("--version")
    assert (code, err) == (0, "")
    assert out.startswith("llmsched 0.")


def test_bound_table_names_the_binding_bound(run, instance_file):
    code, out, err = run("bound", instance_file)
    assert (code, err) == (0, "")
    for name in ("alone", "area", "longest", "kv_volume", "mmbpp"):
        assert name in out
    assert "binds: makespan ≥" in out


@pytest.mark.parametrize("objective", ["total_completion", "total-completion"])
@pytest.mark.parametrize("option", ["--time-limit", "--time_limit"])
def test_bound_json(run, instance_file, objective, option):
    code, out, err = run("bound", instance_file, "--objective", objective, f"{option}=5", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert list(document)[:4] == ["instance", "objective", "bounds", "best"]
    assert (
        document["bounds"][document["binding"]] == document["best"]
        and document["seconds"].keys() == document["bounds"].keys()
    )
    assert document["objective"] == "total_completion"
    assert document["best"] == max(document["bounds"].values()) > 0


@pytest.mark.parametrize("policy", ["fcfs", "longest-first"])
def test_replay_json(run, instance_file, policy):
    code, out, err = run("replay", instance_file, "--policy", policy, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert set(document) >= set(REPLAY_KEYS)
    assert 0 < document["mean_time_to_first_token"] <= document["p99_time_to_first_token"] < document["makespan"]
    assert document["policy"] == policy
    assert 0 < document["utilization"] <= 1


def test_replay_of_a_plan_agrees_with_check(run, instance_file, plan_file, tiny, plan):
    from llmsched_mip.evaluation import evaluate

    code, out, _ = run("replay", instance_file, "--policy", "plan", "--plan", plan_file, "--json")
    makespan = evaluate(tiny, plan).measures.makespan
    assert code == 0
    assert json.loads(out)["makespan"] == pytest.approx(makespan, rel=1e-9)
    code, out, _ = run("check", instance_file, plan_file)
    assert code == 0
    assert f"{makespan:.4f} s" in out


def test_replay_table_and_events(run, instance_file, tmp_path):
    events = tmp_path / "events.csv"
    code, out, _ = run("replay", instance_file, "--policy", "fcfs", "--events", events)
    assert code == 0
    assert "utilization" in out and "evictions" in out
    assert events.read_text().splitlines()[0] == "time,worker,event,request,slot,active,kv"


def test_check_accepts_an_instance(run, instance_file):
    code, out, err = run("check", instance_file)
    assert (code, err) == (0, "")
    assert out.startswith("valid: tiny: 3 requests")


def test_check_lists_every_violation(run, instance_file, tiny, tmp_path):
    broken = Plan.of(tiny, "broken", [[Stage([0, 1, 2], [0, 0, 7], 2)]])
    write_plan(broken, tiny, tmp_path / "broken.json")
    code, out, err = run("check", instance_file, tmp_path / "broken.json")
    assert code == 1
    assert {line.split(":")[0] for line in out.splitlines()} >= {"slots", "incomplete"}
    assert "violations" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"objective": "speed"}, "objective"),
        ({"extra": 1}, "extra"),
        ({"workers": []}, "workers"),
    ],
)
def test_check_of_an_invalid_instance_is_1_and_elsewhere_2(run, instance_file, tmp_path, change, expected):
    document = json.loads((tmp_path / "tiny.json").read_text()) | change
    (tmp_path / "bad.json").write_text(json.dumps(document))
    for command, exit_code in (("check", 1), ("bound", 2)):
        code, out, err = run(command, tmp_path / "bad.json")
        assert (code, out) == (exit_code, "")
        assert expected in err and err.count("\n") == 1


def test_instance_without_a_feasible_plan_is_1(run, instance_file, tmp_path):
    document = json.loads((tmp_path / "tiny.json").read_text())
    document["workers"][0]["kv_capacity"] = 5
    (tmp_path / "tight.json").write_text(json.dumps(document))
    for command in ("check", "bound"):
        code, _, err = run(command, tmp_path / "tight.json")
        assert code == 1
        assert "fits no worker" in err


def test_generate_is_reproducible(run, tmp_path):
    for name in ("one.json", "two.json"):
        code, out, err = run("generate", "gsm8k-small", "--requests", 7, "--seed", 3, "-o", tmp_path / name)
        assert (code, out) == (0, "")
        assert "7 requests" in err
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert read_instance(tmp_path / "one.json").n == 7


def test_import_csv(run, tmp_path):
    (tmp_path / "trace.csv").write_text("prefill_tokens,answer\n10,3\n20,4\n")
    code, _, _ = run(
        *("import", "csv", tmp_path / "trace.csv", "--worker", "llama-65b-calibrated"),
        *("--decode_column", "answer", "--backlog", "--name", "mine", "-o", tmp_path / "out.json"),
    )
    assert code == 0
    instance = read_instance(tmp_path / "out.json")
    assert (instance.name, instance.requests.decode_tokens.tolist()) == ("mine", [3, 4])


@pytest.mark.parametrize("kind", ["instance", "plan"])
def test_schema_accepts_our_files(run, kind, instance_file, plan_file):
    import jsonschema

    code, out, _ = run("schema", kind)
    assert code == 0
    path = instance_file if kind == "instance" else plan_file
    with open(path) as file:
        jsonschema.validate(json.load(file), json.loads(out))


def test_help_lists_commands_and_registries():
    for arguments, words in (
        (["--help"], ["solve", "bound", "replay", "check", "generate", "import", "schema"]),
        (["replay", "--help"], ["fcfs", "lagrangian"]),
        (["generate", "-h"], ["gsm8k-65b"]),
    ):
        result = subprocess.run(
            [sys.executable, "-m", "llmsched_mip.cli", *arguments], capture_output=True, text=True, timeout=60
        )
        assert result.returncode == 0
        assert all(word in result.stdout for word in words), result.stdout


def test_light_commands_do_not_import_solvers(instance_file):
    program = (
        "import sys; from llmsched_mip.cli import main; main(['check', sys.argv[1]]); "
        "print(sorted({'pyomo', 'numba', 'pulp', 'highspy', 'pandas'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program, instance_file], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]"


def test_closed_pipe_ends_quietly():
    program = f"{sys.executable} -m llmsched_mip.cli schema instance"
    result = subprocess.run(
        ["bash", "-c", f"{program} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stderr == ""
    assert result.stdout.strip() in ("0", "141")


def test_not_finite_numbers_become_null(monkeypatch):
    from llmsched_mip.cli import console

    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    console.emit_json({"a": math.nan, "b": [math.inf, 1.5], "c": {"d": 2}})
    assert json.loads(out.getvalue()) == {"a": None, "b": [None, 1.5], "c": {"d": 2}}
