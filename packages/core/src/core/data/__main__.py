"""``python -m core.data``: a folder of videos becomes a store of clips."""

import argparse
import sys

from core.errors import PortraitError


def _parser() -> argparse.ArgumentParser:
    shown = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m core.data", description="Stores of clips for stages 2 and 3.")
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="fit and segment videos; continues where it was interrupted", formatter_class=shown)
    prepare.add_argument("videos", metavar="DIR", help="folder of videos that each show one person")
    prepare.add_argument("--out", required=True, help="where to write")
    prepare.add_argument("--seconds", type=float, default=10.0, help="how much of each video")
    prepare.add_argument("--size", type=int, default=512, help="side of the pictures")
    prepare.add_argument("--workers", type=int, default=2, help="processes")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    from core.data.clip_writer import write_store
    from core.data.footage import find_videos

    args = _parser().parse_args(arguments)
    try:
        count = write_store(args.out, find_videos(args.videos, args.seconds), size=args.size, workers=args.workers)
    except PortraitError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{count} clips in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
