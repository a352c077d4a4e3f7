import threading
import time

import pytest
from portrait.stream import prefetch


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
