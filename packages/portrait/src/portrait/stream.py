"""Streams of frames: work ahead in another thread, show progress."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

S = TypeVar("S")
T = TypeVar("T")

Progress = Callable[[Iterator[Any], str, int], Iterator[Any]]
"""Wraps a stream to show how far it is: (items, what is being done, expected number) to the same items."""

_END = object()


def silently(items: Iterator[Any], label: str, total: int) -> Iterator[Any]:
    """The ``Progress`` that shows nothing."""
    return items


@contextmanager
def closed(items: Iterator[Any]) -> Iterator[None]:
    """End a stream of frames together with the block that uses it: threads stop and bars vanish before an error is reported."""
    try:
        yield
    finally:
        if isinstance(items, Generator):
            items.close()


def side_by_side(work: Callable[[S], T], items: Iterator[S], workers: int) -> Iterator[T]:
    """``map(work, items)`` in order, by threads that share torch's threads among them.

    Small networks keep more cores busy with one frame per core than with all cores at one frame. Exceptions are raised here, in the
    place of the item that caused them. Closing the result, or leaving its loop, ends the threads after the items at work.

    Args:
        work: what to do with each item.
        items: used by the calling thread only, at most ``workers + 1`` ahead of the results; bounds the memory.
        workers: how many items are worked on at once; with 1 there are no threads.
    """
    if workers == 1:
        yield from map(work, items)
        return
    waiting: deque[Future] = deque()
    with drawing_threads(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def drawing_threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads, which share torch's threads among them until the block ends."""
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers, "work", initializer=torch.set_num_threads, initargs=(max(threads // workers, 1),)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)  # a thread's number becomes that of all later threads


def prefetch(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """Yield ``items`` unchanged while a thread computes up to ``depth`` of them ahead.

    Exceptions of ``items`` are raised here. Closing the result, or leaving its loop, stops the thread after the item at work.

    Args:
        items: what to compute ahead; used by the thread only.
        depth: how many finished items may wait; bounds the memory.
    """
    ready: queue.Queue = queue.Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_work, args=(items, ready, stop), daemon=True, name="prefetch")
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()


def _work(items: Iterator[Any], ready: queue.Queue, stop: threading.Event) -> None:
    """Fill ``ready`` with (item, None), at the end with (end, error or None)."""
    try:
        for item in items:
            _put(ready, (item, None), stop)
            if stop.is_set():
                return
        _put(ready, (_END, None), stop)
    except BaseException as error:  # handed over to the consumer, whatever it is
        _put(ready, (_END, error), stop)
    finally:
        if isinstance(items, Generator):
            items.close()


def _put(ready: queue.Queue, entry: tuple, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            return ready.put(entry, timeout=0.1)
        except queue.Full:
            continue
    return None
