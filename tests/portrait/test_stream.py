import threading
import time

import pytest
import torch
from portrait.stream import prefetch, side_by_side


def test_order_and_end():
    assert list(prefetch(iter(range(20)), depth=3)) == list(range(20))


def test_works_ahead_by_no_more_than_its_depth():
    made = []
    stream = prefetch((made.append(i) or i for i in range(100)), depth=2)
    assert next(stream) == 0
    time.sleep(0.2)
    assert len(made) <= 5  # one taken, two waiting, one in hand
    stream.close()


def test_errors_reach_the_consumer():
    def broken():
        yield 1
        raise ValueError("broken")

    stream = prefetch(broken())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)


def test_closing_stops_the_thread_and_closes_the_items():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    stream = prefetch(items())
    next(stream)
    stream.close()
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_side_by_side_is_map_in_order_and_shares_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    together = threading.Barrier(2, timeout=10)

    def work(i: int) -> tuple[int, int]:
        together.wait()  # passes only if two are at work at once
        time.sleep(0.01 * (i % 2 == 0))
        return i, torch.get_num_threads()

    try:
        found = list(side_by_side(work, iter(range(10)), 2))
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(threads)
    assert found == [(i, 1) for i in range(10)]
    assert after == 2
    assert list(side_by_side(abs, iter([-1, -2]), 1)) == [1, 2]


def test_side_by_side_takes_few_items_ahead_and_stops_when_left():
    taken = []
    stream = side_by_side(lambda i: i, (taken.append(i) or i for i in range(100)), 2)
    assert next(stream) == 0
    assert len(taken) <= 3
    stream.close()
    assert len(taken) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("work")]


def test_side_by_side_raises_in_the_place_of_the_item():
    stream = side_by_side(lambda i: 1 // (2 - i), iter(range(5)), 2)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(stream)
