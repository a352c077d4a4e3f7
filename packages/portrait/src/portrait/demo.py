"""``portrait demo``: a public-domain photograph and synthetic speech become a talking portrait."""

import tempfile
import time
from pathlib import Path

from core.media.audio import write_audio

from portrait.clip import write_clip
from portrait.output import check_output
from portrait.pipeline import Portrait
from portrait.stream import Progress, silently
from portrait.timing import peak_memory_mib

TEXT = (
    "Hello. I was a still photograph a minute ago. Now I can speak, look around and blink, "
    "and every frame of me was rendered on this computer."
)


def demo(
    out: Path, weights: str = "tiny", device: str = "auto", text: str = TEXT, progress: Progress = silently, face_model: str = "embedded"
) -> None:
    """Write ``demo.mp4`` and the contact sheet ``demo.png`` and print where they are, with the time and memory used.

    The photograph is ``skimage.data.astronaut()`` (NASA, public domain); the voice is espeak-ng.

    Args:
        out: folder for the results, made if absent.
        weights: preset or folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        text: what is said.
        progress: shows how far each step is.
        face_model: ``embedded``, or a folder with the files of BFM 2009.

    Raises:
        PortraitError: as ``Portrait.from_pretrained`` and ``Portrait.plan``; ``E_OUT`` when ``out`` cannot be written.
    """
    from audio2motion.speech import say
    from skimage.data import astronaut

    start = time.perf_counter()
    video, sheet = (check_output(out / name, (Path(name).suffix,), create=True) for name in ("demo.mp4", "demo.png"))
    portrait = Portrait.from_pretrained(weights, device, face_model=face_model)
    speech = say(text)
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "speech.wav"
        write_audio(wave, speech.wave, speech.rate)
        plan = portrait.plan(astronaut(), audio=wave, pose="idle")
        write_clip(portrait, plan, video, sheet, progress=progress)
    print(f"{video}: {len(plan) / 25:.1f} s of video in {time.perf_counter() - start:.0f} s, {peak_memory_mib():.0f} MiB peak memory")
    print(f"{sheet}: source, PNCC, raw render, depth and result of some frames")
    print(f"time by stage: {portrait.timer.report()}")
