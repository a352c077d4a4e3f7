"""The command ``portrait``: every failure is one line with a stable code, on stderr, and a non-zero exit status."""

import argparse
import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from core.allocator import keep_freed_memory
from core.errors import PortraitError

from portrait.channels import BENCHED, BLINK_MODES, BROWS, GAZE_MODES, LOOKAHEADS, MOST_STEPS, POSES, PRECISIONS, TIME_FILES
from portrait.evaluate.command import add_evaluate, run_evaluate

EXIT_FAILED, EXIT_BUG, EXIT_INTERRUPTED = 2, 1, 130
LARGEST = 2**32
"""Seeds and indices are below."""
UNITS = {"refine": "step"}
"""What progress bars count, if not frames."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, like every other failure."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_FAILED, f"E_USAGE: {message}. See `{self.prog} --help`\n")


class _Version(argparse.Action):
    """``--version``, looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"portrait {version('real3d-portrait')}")
        parser.exit()


def _amplitude(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 2")
    return value


def _natural(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number between 0 and {LARGEST - 1}")
    return value


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_STEPS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of steps between 0 and {MOST_STEPS}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 60")
    return value


def _word_or_file(words: Sequence[str], text: str) -> str:
    """A mistyped word is no file; a file has a suffix, or is there."""
    if text in words or Path(text).suffix or Path(text).exists():
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is neither {', '.join(words)} nor a file")


def _cells(text: str) -> int:
    if not text.isdecimal() or not 32 <= int(text) <= 512:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number between 32 and 512")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """All sub-commands and options."""
    parser = _Parser(prog="portrait", description="One photograph and speech or a driving video in, a talking-portrait video out.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_animate(commands)
    _add_head(commands)
    demo = commands.add_parser("demo", help="make out/demo.mp4 and out/demo.png from a public-domain photograph and synthetic speech",
                               formatter_class=argparse.ArgumentDefaultsHelpFormatter)  # fmt: skip
    demo.add_argument("--out", type=Path, default=Path("out"), metavar="FOLDER", help="where the results go; made if absent")
    _add_common(demo)
    doctor = commands.add_parser("doctor", help="what this machine has, what is missing, what to do")
    doctor.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    _add_bench(commands)
    _add_common(add_evaluate(commands))
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        "--preset",
        default="tiny",
        metavar="NAME|FOLDER",
        help="'tiny' (in the package) or a folder with i2p, adapter, renderer, htbsr, audio2motion (default: tiny)",
    )
    parser.add_argument(
        "--face-model",
        default="embedded",
        metavar="embedded|FOLDER",
        help="the 3DMM that the weights were trained with: the embedded one, or a folder with the files of BFM 2009 (default: embedded)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                        help="auto takes a GPU if there is one (default: auto)")  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure, and the time of every stage and the memory")


def _add_animate(commands: Any) -> None:
    about = "Animate a photograph with speech or with a driving video; writes H.264 + AAC at 25 fps."
    p = commands.add_parser("animate", help="make a talking-portrait video", description=about)
    p.add_argument("source", metavar="SOURCE", help="photograph with a face: JPEG, PNG, WebP, ...")
    driver = p.add_mutually_exclusive_group(required=True)
    driver.add_argument("--audio", metavar="FILE", help="speech that drives the lips: WAV, MP3, OGG, a video's sound, ...")
    driver.add_argument("--video", metavar="FILE", help="talking person whose expression, head motion and sound are transferred")
    p.add_argument(
        "--pose",
        metavar="static|idle|FILE",
        help="head motion: still, small natural motion, or a video's (default: static with --audio, the driver's with --video)",
    )
    p.add_argument(
        "--background",
        default="source",
        metavar="FILE|COLOR|source",
        help="picture, colour ('#204060', 'teal') or the photograph's own (default: source)",
    )
    p.add_argument(
        "--blink",
        type=partial(_word_or_file, BLINK_MODES),
        metavar="natural|model|none|period|FILE",
        help="blinking: about 17 times a minute, the same by stage 4 itself, not at all, every 5 s, at the times in seconds that a .txt or "
        ".csv file lists, or as in a video (default: natural with --audio, none with --video, whose driver blinks)",
    )
    p.add_argument(
        "--brows",
        type=partial(_word_or_file, BROWS),
        metavar="prosody|FILE",
        help="raise the brows on accents of the voice, or move them as in a video (default: as the driver does)",
    )
    p.add_argument("--nods", action="store_true", help="bow the head a little on accents of the voice, on top of --pose")
    p.add_argument(
        "--mouth-amplitude",
        type=_amplitude,
        metavar="X",
        help="how far speech opens the mouth, 0 to 2 (default: that of the weights, 0.37 for tiny)",
    )
    p.add_argument(
        "--expression",
        choices=("absolute", "relative"),
        default="absolute",
        help="with --video: the driver's face as it is, or its change from rest added to the photograph's (default: absolute)",
    )
    p.add_argument("--face", type=_natural, metavar="N", help="which face of the photograph, counted from 0, the largest (default: 0)")
    p.add_argument(
        "--gaze",
        type=partial(_word_or_file, GAZE_MODES),
        metavar="natural|still|FILE",
        help="eyes that look aside now and then, as in the photograph, or aside when those of a video do; only weights that look back at "
        "the photograph, as tiny does, can turn eyes (default: natural with --audio, the driver's with --video)",
    )
    p.add_argument("--seed", type=_natural, default=0, metavar="N", help="of blinks, gaze, idle motion and speech variation (default: 0)")
    p.add_argument(
        "--refine",
        type=_steps,
        default=0,
        metavar="N",
        help="steps by which the head first learns this photograph, up to 10000; 100 help (default: 0)",
    )
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="of convolutions and matrix products; auto is bfloat16 on CPUs made for it (default: auto)",
    )
    p.add_argument("-o", "--output", required=True, metavar="OUT.mp4", help="video to write; replaced if it exists")
    p.add_argument("--sheet", metavar="OUT.png", help="also write a contact sheet: source, PNCC, raw render, depth, result")
    p.add_argument("--no-badge", action="store_true", help="leave out the visible 'AI generated' label")
    _add_common(p)


def _add_bench(commands: Any) -> None:
    about = (
        "Measure what each network costs on this machine, with random weights and inputs, and for tiny a first frame and "
        "those that follow, as shipped."
    )
    bench = commands.add_parser("bench", help="what each network costs here: ms, frames per second, GFLOP, memory", description=about)
    bench.add_argument("--preset", choices=BENCHED, default="tiny", help="sizes of the networks (default: tiny)")
    bench.add_argument("--live", action="store_true",
                       help="instead: the shipped portrait speaks live; how late pictures are and how many come")  # fmt: skip
    bench.add_argument("--lookahead", type=int, choices=LOOKAHEADS, metavar="FRAMES",
                       help="with --live: frames of 40 ms to hear beyond those that are drawn: 0, 4, 8 or 12 (default: 4); 0 answers "
                            "within 160 ms of sound, but lips shut less often")  # fmt: skip
    bench.add_argument("--twins", action="store_true",
                       help="also time the readable float32 formulation of every network, in turns, and give the ratio")  # fmt: skip
    bench.add_argument("--rounds", type=_natural, default=10, metavar="N", help="timed runs of each row (default: 10)")
    bench.add_argument("--precision", choices=PRECISIONS, default="auto", help="of convolutions and matrix products (default: auto)")
    bench.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU if there is one (default: auto)")
    bench.add_argument("--json", metavar="OUT.json", help="also write everything to this file")
    bench.add_argument("--debug", action="store_true", help="show the traceback of a failure")


def _add_head(commands: Any) -> None:
    orbit = commands.add_parser("orbit", help="make a video that circles the head of a photograph")
    orbit.add_argument("-o", "--output", required=True, metavar="OUT.mp4", help="video to write; replaced if it exists")
    orbit.add_argument("--seconds", type=_seconds, default=4.0, metavar="X", help="length of the video, at most 60 (default: 4)")
    orbit.add_argument("--no-badge", action="store_true", help="leave out the visible 'AI generated' label")
    mesh = commands.add_parser("mesh", help="make a coloured 3D mesh of the head of a photograph")
    mesh.add_argument("-o", "--output", required=True, metavar="OUT.ply|OUT.glb", help="mesh to write; replaced if it exists")
    mesh.add_argument("--cells", type=_cells, default=192, metavar="N", help="grid cells per side, 32 to 512 (default: 192)")
    for parser in (orbit, mesh):
        parser.add_argument("source", metavar="PHOTO", help="photograph with a face: JPEG, PNG, WebP, ...")
        parser.add_argument("--face", type=_natural, metavar="N", help="which face of the photograph, counted from 0, the largest")
        _add_common(parser)


def _progress(items: Iterator[Any], label: str, total: int) -> Iterator[Any]:
    """A bar on stderr with the time left, which vanishes at the end."""
    from tqdm import tqdm

    yield from tqdm(
        items, desc=label, total=total or None, unit=UNITS.get(label, "frame"), file=sys.stderr, dynamic_ncols=True, leave=False
    )


def _warn_of_compiling(options: argparse.Namespace) -> None:
    """Say why the very first frame of the embedded networks on a machine takes long; GPUs and other networks take other ways."""
    from core.compiled import on_disk
    from core.render.shared_numba import look_again

    from portrait.networks import choose_device

    if options.weights == "tiny" and choose_device(options.device).type == "cpu" and not on_disk(look_again):
        print("Compiling for this machine, which takes up to a minute and is done once.", file=sys.stderr)


def _say(text: str) -> None:
    """Print ``text`` whatever characters a file name is made of."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _animate(options: argparse.Namespace) -> int:
    """Whatever can be checked in no time is checked before the networks are imported and loaded."""
    from core.media.files import check_input

    from portrait.output import PICTURE_SUFFIXES, VIDEO_SUFFIXES, check_output

    inputs = (options.source, options.audio, options.video, options.pose, options.background, options.blink, options.brows)
    video = check_output(options.output, VIDEO_SUFFIXES, inputs)
    sheet = check_output(options.sheet, PICTURE_SUFFIXES, inputs) if options.sheet else None
    for path, kind in ((options.source, "IMAGE"), (options.audio, "AUDIO"), (options.video, "VIDEO")):
        if path is not None:
            check_input(path, kind)
    for given, words in ((options.pose, POSES), (options.blink, BLINK_MODES), (options.brows, BROWS)):
        if given is not None and given not in words:
            check_input(given, "BLINK" if words is BLINK_MODES and given.lower().endswith(TIME_FILES) else "VIDEO")
    if options.blink == "model" and options.audio is None:
        raise PortraitError("E_USAGE", "--blink model needs --audio: the model makes motion from speech", "Leave it out, or name a video.")
    from portrait.clip import write_clip
    from portrait.pipeline import Portrait
    from portrait.timing import peak_memory_mib

    portrait = Portrait.from_pretrained(options.weights, options.device, face_model=options.face_model, precision=options.precision)
    plan = portrait.plan(
        options.source, options.audio, options.video, options.pose, options.background, options.blink, options.mouth_amplitude,
        options.expression, options.seed, options.face, _progress, options.brows, options.nods, options.refine, options.gaze,
    )  # fmt: skip
    _warn_of_compiling(options)
    write_clip(portrait, plan, video, sheet, badge=not options.no_badge, progress=_progress)
    if options.debug:
        print(f"mean time: {portrait.timer.report()}; peak memory {peak_memory_mib():.0f} MiB", file=sys.stderr)
    _say(str(video))
    return 0


def _orbit(options: argparse.Namespace) -> int:
    from core.media.files import check_input

    from portrait.output import VIDEO_SUFFIXES, check_output

    video = check_output(options.output, VIDEO_SUFFIXES, (check_input(options.source, "IMAGE"),))
    from portrait.head import Head
    from portrait.orbit import write_orbit

    head = Head(options.source, options.weights, options.device, options.face_model, options.face)
    write_orbit(head, video, options.seconds, badge=not options.no_badge, progress=_progress)
    _say(str(video))
    return 0


def _mesh(options: argparse.Namespace) -> int:
    from core.media.files import check_input

    from portrait.output import check_output

    file = check_output(options.output, (".ply", ".glb"), (check_input(options.source, "IMAGE"),))
    from core.media.mesh_files import write_mesh
    from recon.export import extract_mesh

    from portrait.head import Head

    head = Head(options.source, options.weights, options.device, options.face_model, options.face)
    write_mesh(file, extract_mesh(head.renderer.volume, head.planes, options.cells))
    _say(str(file))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from portrait.demo import demo

    _warn_of_compiling(options)
    demo(options.out, options.weights, options.device, progress=_progress, face_model=options.face_model)
    return 0


def _bench(options: argparse.Namespace) -> int:
    from portrait.output import check_output

    file = check_output(options.json, (".json",)) if options.json else None
    if not options.rounds:
        raise PortraitError("E_USAGE", "--rounds 0 measures nothing", "Give at least 1.")
    if options.live and options.preset != "tiny":
        raise PortraitError("E_USAGE", f"--live --preset {options.preset}: only tiny is shipped with weights", "Leave --preset out.")
    if options.lookahead is not None and not options.live:
        raise PortraitError("E_USAGE", f"--lookahead {options.lookahead} means something for --live only", "Add --live, or leave it out.")
    from portrait.bench import bench, bench_live

    if options.live:
        lookahead = LOOKAHEADS[1] if options.lookahead is None else options.lookahead
        bench_live(options.preset, options.device, options.precision, lookahead, file)
        return 0
    bench(options.preset, options.device, options.precision, options.rounds, file, options.twins)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from portrait.doctor import doctor

    return doctor()


COMMANDS = {
    "animate": _animate,
    "bench": _bench,
    "demo": _demo,
    "doctor": _doctor,
    "evaluate": run_evaluate,
    "mesh": _mesh,
    "orbit": _orbit,
}


def _terminate(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


class _BesideBars(logging.Handler):
    """Writes a record on a line of its own, also while a progress bar is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


@contextmanager
def _messages(debug: bool) -> Iterator[None]:
    """Our own warnings as single lines on stderr; those of libraries only with ``--debug``. What was set before comes back."""
    handler = _BesideBars()
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().removeHandler(handler)


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    print(" ".join(message.split()), file=sys.stderr)
    return status


@contextmanager
def _stoppable() -> Iterator[None]:
    """A polite end of the process or of its terminal counts as Ctrl-C, so that half-written files are removed."""
    before = {name: signal.signal(name, _terminate) for name in (signal.SIGTERM, getattr(signal, "SIGHUP", None)) if name is not None}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``portrait`` and return its exit status: 0, 2 (the user can mend it), 130 (interrupted) or 1 (a bug)."""
    options = build_parser().parse_args(arguments)
    keep_freed_memory()
    try:
        with _stoppable(), _messages(options.debug):
            return COMMANDS[options.command](options)
    except PortraitError as error:
        return _fail(str(error), EXIT_FAILED, options.debug)
    except KeyboardInterrupt:
        return _fail("E_INTERRUPTED: stopped; nothing was written", EXIT_INTERRUPTED, options.debug)
    except Exception as error:
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # the second is torch's
            message = "E_MEMORY: this machine has too little free memory. Close other programs and try again"
            return _fail(message, EXIT_FAILED, options.debug)
        return _fail(f"E_INTERNAL: {type(error).__name__}: {error}. Please report this; --debug shows where", EXIT_BUG, options.debug)
