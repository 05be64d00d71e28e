"""SlotPool against a set of free slots."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip.execution.slots import SlotPool


@settings(max_examples=200)
@given(st.integers(1, 6), st.data())
def test_takes_the_lowest_free_slots_or_those_named(count, data):
    pool, free, holder = SlotPool(count), set(range(count)), {}
    for request in range(20):
        if holder and data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(holder)))
            pool.release(gone)
            free.add(holder.pop(gone))
        named = data.draw(st.none() | st.integers(-1, count))
        if named is not None and named not in free:
            assert pool.take([request], [named]) is None
        elif free:
            slot = min(free) if named is None else named
            assert pool.take([request], None if named is None else [named]) == [slot]
            free.remove(slot)
            holder[request] = slot
        assert pool.free == len(free)


def test_named_slots_are_apart_and_one_a_request():
    pool = SlotPool(4)
    assert pool.take([0, 1], [2, 2]) is None
    assert pool.take([0, 1], [2]) is None
    assert pool.take([0], [1, 2]) is None
    assert pool.free == 4
    assert pool.take([0, 1], [2, 0]) == [2, 0]
    assert pool.take([5, 6], None) == [1, 3]


def test_the_number_of_slots_costs_nothing():
    pool = SlotPool(10**15)
    assert pool.take([0, 1], [10**14, 0]) == [10**14, 0]
    assert pool.take([2], None) == [1]
