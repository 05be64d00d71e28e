"""Several processes on one instance: what one finds all have, and one that dies takes nothing with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsched_mip import evaluate, solve
from llmsched_mip.lower_bound import Bound
from llmsched_mip.methods import Search, auto
from llmsched_mip.methods.board import Board, remove
from llmsched_mip.methods.helpers import Helpers
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.workload import generate

INSTANCE = generate("gsm8k-opt66b-a100", 60, 2, slots=12).with_objective("total_completion")


def finds_a_plan(search, process, processes):
    """Program of a helper of these tests."""
    list_schedules(search)
    search.raise_bounds([Bound("alone", 1.0)])
    search.fail("a part", ZeroDivisionError("on purpose"))


def dies(search, process, processes):
    """Program of a helper that shows a plan and is gone."""
    list_schedules(search)
    search.exchange(search.board)
    os.kill(os.getpid(), signal.SIGKILL)


def two_searches(folder: Path) -> list[Search]:
    searches = [Search(INSTANCE, 60.0) for _ in range(2)]
    for process, search in enumerate(searches):
        search.board = Board(folder, process, 2)
    return searches


def test_what_one_shows_the_other_has(tmp_path):
    one, other = two_searches(tmp_path)
    list_schedules(one)
    one.raise_bounds([Bound("area", 2.0)])
    one.exchange(one.board)
    other.raise_bounds([Bound("area", 3.0), Bound("alone", 1.0)])
    other.exchange(other.board)
    assert other.value == one.value and other.bounds == {"area": 3.0, "alone": 1.0}
    one.exchange(one.board)
    assert one.bounds == other.bounds
    events = len(one.trace) + len(other.trace)
    for _ in range(3):
        one.exchange(one.board)
        other.exchange(other.board)
    assert len(one.trace) + len(other.trace) == events, "what was seen once is not seen again"


def test_a_worse_plan_is_not_taken_over(tmp_path):
    one, other = two_searches(tmp_path)
    list_schedules(one)
    other.offer(solve(INSTANCE, method="lists", time_limit_s=0).plan)
    best = min(one.value, other.value)
    for search in (one, other, one):
        search.exchange(search.board)
    assert one.value == other.value == best


@pytest.mark.parametrize(("program", "failed"), [(finds_a_plan, "a part"), (dies, "process 1")])
def test_a_helper(program, failed):
    """Its plan and its bounds arrive, and so does what went wrong; the folder is gone afterwards."""
    with Search(INSTANCE, 120.0) as search:
        with Helpers(search, program, 2) as helpers:
            folder = search.board.folder
            helpers.wait()
        assert search.plan is not None and evaluate(INSTANCE, search.plan).feasible
        assert [failure.part for failure in search.failures] == [failed]
        assert not folder.exists() and search.board is None
        assert search.whole.remaining > 0, "waiting ends with the helpers"


def test_solve_with_two_processes():
    """The result is a plan of the instance with bounds below it, from a script without a main guard too."""
    result = solve(INSTANCE, time_limit_s=6.0, threads=2)
    assert evaluate(INSTANCE, result.plan).feasible and result.failures == ()
    assert result.bound <= result.value
    script = (
        "from llmsched_mip import generate, solve\n"
        "print(solve(generate('gsm8k-65b', 40, 0, slots=8), time_limit_s=4, threads=2).failures)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("()", "")


def test_one_thread_repeats_to_the_last_bit():
    """Where no clock ends it: the parts that end by themselves, twice."""
    instance = generate("gsm8k-65b", 10, 3, slots=3)
    first, second = (solve(instance, time_limit_s=600.0, threads=1, seed=5) for _ in range(2))
    assert first.status == second.status == "optimal"
    assert [event[1:] for event in first.trace] == [event[1:] for event in second.trace]


def test_a_helper_ends_with_its_caller(tmp_path):
    """A caller that is killed leaves no process and no folder."""
    script = (
        "from llmsched_mip import generate\n"
        "from llmsched_mip.methods import Search, auto\n"
        "from llmsched_mip.methods.helpers import Helpers\n"
        "import os, sys, time\n"
        "search = Search(generate('mixture', 300, 0), 600.0)\n"
        "with Helpers(search, auto.program, 2) as helpers:\n"
        "    print(search.board.folder, helpers.process_ids()[0], flush=True)\n"
        "    time.sleep(600)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    folder, helper = caller.stdout.readline().split()
    seen_by(lambda: (Path(folder) / "1.state").exists() or (Path(folder) / "1.shown").exists())
    caller.kill()
    caller.wait()
    seen_by(lambda: not _alive(int(helper)) and not Path(folder).exists())


def seen_by(condition: Callable[[], bool], patience_s: float = 300.0) -> None:
    """Wait until it holds; a test that would wait for ever fails instead."""
    ends = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < ends, "never came"
        time.sleep(0.05)


def test_a_board_is_removed_while_others_write(tmp_path):
    """A process that still writes into the folder doesn't keep it."""
    ended = threading.Event()

    def write(folder: Path) -> None:
        while not ended.is_set():
            for name in range(50):
                try:
                    (folder / f"{name}.state.half").write_bytes(b"x")
                    os.replace(folder / f"{name}.state.half", folder / f"{name}.state")
                except OSError:
                    break

    for trial in range(20):
        folder = tmp_path / f"board-{trial}"
        folder.mkdir()
        writer = threading.Thread(target=write, args=(folder,))
        ended.clear()
        writer.start()
        seen_by(lambda folder=folder: any(folder.iterdir()))
        remove(folder)
        ended.set()
        writer.join()
        assert list(tmp_path.iterdir()) == []


def test_a_board_that_is_gone(tmp_path):
    """Process 0 goes on alone and says so once; a helper, which nobody hears any more, ends."""
    caller, helper = two_searches(tmp_path / "board")
    shutil.rmtree(tmp_path / "board", ignore_errors=True)
    list_schedules(caller)
    helper.raise_bounds([Bound("alone", 1.0)])
    for _ in range(3):
        caller.exchange(caller.board)
    assert [failure.part for failure in caller.failures] == ["board"] and caller.plan is not None
    with pytest.raises(OSError, match="board"):
        helper.exchange(helper.board)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_first_plan_comes_before_the_first_bound():
    events = []
    solve(INSTANCE, time_limit_s=1.0, threads=1, log=events.append)
    assert events[0].incumbent is not None and events[0].bound is None


def test_a_start_is_never_made_worse():
    plan = solve(INSTANCE, time_limit_s=4.0, threads=1).plan
    again = solve(INSTANCE, time_limit_s=0, method="lists", start=plan)
    assert again.value <= plan.claims.value
    assert auto.QUICK_BOUNDS
