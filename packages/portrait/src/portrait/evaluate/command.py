"""``portrait evaluate`` on the command line; everything heavy is imported when it runs."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import PortraitError

from portrait.evaluate.pairing import PROTOCOLS

if TYPE_CHECKING:
    from portrait.evaluate.systems import System


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {2**32 - 1}")
    return value


def add_evaluate(commands: Any) -> argparse.ArgumentParser:
    """Add the sub-command; the caller adds what all commands share."""
    about = (
        "Evaluate by the paper's protocols. Finished clips are not made again; several systems may share a report folder and become rows "
        "of its tables. Metrics whose networks are absent are left out; docs/metrics.md says which files they need."
    )
    p = commands.add_parser("evaluate", help="score the weights, a baseline or others' videos as the paper does", description=about)
    p.add_argument("--protocol", choices=PROTOCOLS, required=True, help="who drives whom")
    p.add_argument("--data", type=Path, required=True, metavar="FOLDER",
                   help="has videos/; for same-identity perhaps photos/ and masks/; for audio-driven portraits/ and audio/")  # fmt: skip
    p.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="report: made if absent, continued if present")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--predictions", type=Path, metavar="FOLDER", help="score these videos, called as in pairs.json")
    what.add_argument(
        "--baseline",
        choices=("still", "copy-motion", "lifted"),
        help="score the unmoved photograph, one that is moved as a whole, or one that is lifted to 3D without any network",
    )
    p.add_argument("--whole-frame", action="store_true", help="--predictions show the whole frame of the videos, not its square cut-out")
    p.add_argument("--no-inpaint", action="store_true", help="hand our weights the photograph itself as background (an ablation)")
    p.add_argument("--name", metavar="NAME", help="of the row in the tables (default: that of weights, baseline or folder)")
    p.add_argument(
        "--metric-weights", type=Path, metavar="FOLDER", help="has the networks of LPIPS, FID, CSIM, Sync (default: torch's cache)"
    )
    p.add_argument("--limit", type=_positive, metavar="N", help="clips to stop after (default: all)")
    p.add_argument("--frames", type=_positive, metavar="N", help="frames of every clip to stop after (default: all)")
    p.add_argument("--seed", type=_natural, default=0, metavar="N", help="of partners, head motions, blinks (default: 0)")
    return p


def run_evaluate(options: argparse.Namespace) -> int:
    """Do what the command line says, print the table and return the exit status."""
    try:
        import torchmetrics  # noqa: F401 - found out before anything is read
    except ImportError as error:
        raise PortraitError("E_INSTALL", f"evaluation needs torchmetrics ({error})", "pip install 'real3d-portrait[evaluate]'") from error
    from core.face.model import FaceModel
    from core.metrics.backbones import load_backbones

    from portrait.evaluate.run import Evaluation, evaluate, text_table
    from portrait.evaluate.trace import Tools
    from portrait.networks import choose_device

    device = choose_device(options.device)
    asked = Evaluation(options.protocol, options.data.expanduser(), options.out.expanduser(), options.seed, options.frames, options.limit)
    tools = Tools(FaceModel.embedded(), load_backbones(options.metric_weights, device), device)
    try:
        table = evaluate(asked, _system(options), tools, _progress)
    except KeyboardInterrupt:
        print("E_INTERRUPTED: stopped; finished clips are kept. Start the same command again to go on", file=sys.stderr)
        return 130
    for line in (*tools.backbones.absent, *text_table(options.protocol, table), str(asked.out / "index.html")):
        print(line)
    return 0


def _progress(items: Iterator[Any], label: str, total: int) -> Iterator[Any]:
    from tqdm import tqdm

    return iter(tqdm(items, desc=label, total=total, unit="clip", file=sys.stderr, dynamic_ncols=True))


def _system(options: argparse.Namespace) -> "System":
    from portrait.evaluate.systems import BASELINES, Networks, Predictions

    if options.predictions:
        system: System = Predictions(options.predictions, options.whole_frame)
    elif options.baseline:
        system = BASELINES[options.baseline]()
    else:
        from portrait.pipeline import Portrait

        portrait = Portrait.from_pretrained(options.weights, options.device, face_model=options.face_model)
        system = Networks(portrait, options.weights, options.seed, not options.no_inpaint)
    if options.name:
        system.name = Path(options.name).name
    return system
