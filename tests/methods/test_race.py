"""The race of makers: everyone has a turn, gains are followed up, and who has nothing left to try drops out."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.methods import Search
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.race import race
from llmsched_mip.workload import generate

INSTANCE = generate("gsm8k-65b", 12, 0, slots=3)


def run(makers, seconds=20.0):
    """Race on a search with a plan, under the clock that counts its readings."""
    with clock.counting(0.01):
        search = Search(INSTANCE, seconds)
        list_schedules(search)
        race(search, makers)
    return search


def maker(name, turns, action):
    """A maker that notes its turns and then does something."""

    def make(search):
        turns.append((name, round(search.budget.seconds, 2), search.seed))
        action(search)

    make.__name__ = name
    return make


def spend(search):
    """Use the turn to its end."""
    while not search.budget.spent():
        pass


def test_everyone_has_a_turn_and_turns_get_longer():
    turns = []
    run([maker("a", turns, spend), maker("b", turns, spend)])
    assert [name for name, _, _ in turns[:4]] == ["a", "b", "a", "b"], "none gains: the fewest turns go first"
    lengths = [seconds for name, seconds, _ in turns if name == "a"]
    assert lengths[1] > 1.5 * lengths[0]
    seeds = [seed for name, _, seed in turns if name == "a"]
    assert len(set(seeds)) == len(seeds) > 2, "new random numbers in each turn of a maker"


def test_who_gains_goes_on():
    turns = []

    def gain(search):
        plan, value = search._best
        search._best = (plan, value * 0.99)
        spend(search)

    search = run([maker("idle", turns, spend), maker("gains", turns, gain)])
    names = [name for name, _, _ in turns]
    assert names[:2] == ["idle", "gains"] and set(names[2:]) == {"gains"}
    assert search.failures == []


def test_the_race_ends_with_the_last_that_has_anything_to_try():
    turns = []

    def fail(search):
        raise ZeroDivisionError("on purpose")

    search = run([maker("nothing", turns, lambda search: None), maker("fails", turns, fail)], seconds=1e6)
    assert [name for name, _, _ in turns] == ["nothing", "fails", "nothing", "fails"]
    assert {failure.part for failure in search.failures} == {"fails"}
