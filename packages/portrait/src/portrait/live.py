"""``portrait bench --live``: speech in as it is spoken, pictures out; how late they are and how many come."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from audio2motion import StreamingAudio2Motion
from core.face.coeffs import FaceCoeffs
from core.media.audio import resample
from jaxtyping import Float
from torch import Tensor

from portrait.listening import FPS, RATE, STEP
from portrait.pipeline import Portrait
from portrait.plan import still_plan
from portrait.source import Source
from portrait.stream import drawing_threads, side_by_side

HEADER = (
    "| live | late, median ms | late, p95 ms | of it sound to come, ms | shown per second | without waiting | CPU ms a picture |",
    "|---|---|---|---|---|---|---|",
)
BLOCK = STEP // 2
"""Samples that come at once: 20 ms, as sound cards and calls deliver them."""

SLACK = 0.15
"""Of a frame, by which drawing may be slower than speech until frames are left out for it; who falls behind leaves out some at any rate."""

Draw = Callable[[Float[Tensor, "n 64"]], Any]
"""Expression codes to pictures."""


@dataclass(frozen=True)
class LiveCost:
    """What a live talk is like.

    Attributes:
        name: of the weights.
        seconds: of speech.
        median: milliseconds from the moment when a frame's sound begins until its picture is there: the sound has to be held back so long.
        p95: the same, 95th percentile.
        wait: milliseconds of them, at most, until the sound is there that a frame depends on; the rest is computing.
        shown: pictures a second while it was spoken; 25 are wanted, those that would come too late are left out.
        sustained: pictures a second when the sound is there at once and every frame is drawn, several side by side on a CPU.
        cpu: milliseconds of CPU time for each of those, over all threads; other work on the machine disturbs it least.
    """

    name: str
    seconds: float
    median: float
    p95: float
    wait: float
    shown: float
    sustained: float
    cpu: float

    def line(self) -> str:
        """As a line of the table."""
        late = f"{self.median:.0f} | {self.p95:.0f} | {self.wait:.0f}"
        return f"| {self.name} | {late} | {self.shown:.1f} | {self.sustained:.1f} | {self.cpu:.0f} |"


class _AtOnce(Executor):
    """Does everything while it is asked to."""

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future:
        """A future that is done."""
        done: Future = Future()
        done.set_result(work(*given, **named))
        return done


def speak_live(stream: StreamingAudio2Motion, draw: Draw, sound: Float[np.ndarray, " n"], workers: int = 1) -> list[tuple[int, float]]:
    """Hear sound at the pace of speech and draw as many evenly spaced frames as the machine can.

    Args:
        stream: hears.
        draw: one frame.
        sound: speech.
        workers: frames that are drawn side by side.

    Returns:
        Numbers of the frames drawn, and by how many seconds each came after the beginning of its sound.
    """
    made, heard, following, cost, late = torch.zeros(0, 64), 0, 0, 0.0, []
    running: set[Future] = set()
    start = time.perf_counter()

    def paint(number: int, exp: Tensor) -> tuple[int, float, float]:
        began = time.perf_counter()
        draw(exp)
        end = time.perf_counter()
        return number, end - start - number / FPS, end - began

    with _AtOnce() if workers == 1 else drawing_threads(workers) as pool:
        while True:
            spoken = min(int((time.perf_counter() - start) * RATE) // BLOCK * BLOCK, len(sound))
            if spoken > heard:
                made = torch.cat([made, stream.push(sound[heard:spoken])])
                heard = spoken
            drawing = following < len(made) and len(running) < workers
            if drawing:
                running.add(pool.submit(paint, following, made[following : following + 1]))
            elif not running and heard == len(sound) and following >= len(made):
                return sorted(late)
            elif not running:
                time.sleep(BLOCK / RATE)
            done, running = wait(running, 0 if drawing else BLOCK / RATE, FIRST_COMPLETED)
            found = [future.result() for future in done]
            late += [(number, after) for number, after, _ in found]
            cost = found[-1][2] if found else cost
            if drawing:
                following = max(following + max(math.ceil(cost * FPS / workers - SLACK), 1), len(made) - stream.chunk)


def speak_at_once(stream: StreamingAudio2Motion, draw: Draw, sound: Float[np.ndarray, " n"], workers: int) -> tuple[float, float]:
    """Frames a second, from sound to pictures, when nothing has to be waited for; milliseconds of CPU time for each."""
    start, cpu = time.perf_counter(), time.process_time()

    def frames() -> Iterator[Tensor]:
        for made in stream.stream(np.array_split(sound, max(len(sound) // BLOCK, 1))):
            yield from made.split(1)

    count = sum(1 for _ in side_by_side(draw, frames(), workers))
    return count / (time.perf_counter() - start), 1e3 * (time.process_time() - cpu) / count


def live_cost(portrait: Portrait, source: Source, sound: Float[np.ndarray, " n"], name: str, lookahead: int) -> LiveCost:
    """Let a photograph speak twice, at the pace of speech and as fast as it goes; a first second of it warms up.

    Args:
        portrait: the networks.
        source: the prepared photograph, which holds its pose.
        sound: speech at 16 kHz, mono.
        name: for the table.
        lookahead: frames to hear beyond those that are drawn, a multiple of 4; fewer answer sooner and shut the lips less often.
    """
    paint, still, workers = portrait.live(still_plan(source)), source.coeffs, portrait.workers

    def draw(exp: Tensor) -> Any:
        return paint(FaceCoeffs(still.id, exp, still.euler, still.trans))

    def stream() -> StreamingAudio2Motion:
        return StreamingAudio2Motion(portrait.audio2motion, portrait.encoder, lookahead=lookahead)

    speak_at_once(stream(), draw, sound[:RATE], workers)
    decoder = stream()
    late = speak_live(decoder, draw, sound, workers)
    ms = 1e3 * np.array([value for _, value in late])
    sustained, cpu = speak_at_once(stream(), draw, sound, workers)
    p50, p95 = (float(np.percentile(ms, q)) for q in (50, 95))
    return LiveCost(name, len(sound) / RATE, p50, p95, 1e3 * decoder.latency, rate_of(late), sustained, cpu)


def rate_of(late: list[tuple[int, float]]) -> float:
    """Pictures a second between the first and the last of those that ``speak_live`` returns."""
    (first, before), (last, after) = late[0], late[-1]
    return (len(late) - 1) / max((last - first) / FPS + after - before, 1e-9)


def live(weights: str, device: str, precision: str, lookahead: int) -> LiveCost:
    """The photograph and the words of ``portrait demo``.

    Raises:
        PortraitError: as ``Portrait.from_pretrained``; ``E_ESPEAK`` without espeak-ng.
    """
    from audio2motion.speech import say
    from skimage.data import astronaut

    from portrait.demo import TEXT

    portrait, speech = Portrait.from_pretrained(weights, device, precision=precision), say(TEXT)
    return live_cost(portrait, portrait.prepare(astronaut()), resample(speech.wave, speech.rate, RATE), weights, lookahead)
