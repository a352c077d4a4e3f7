"""``python -m core.people``: write stores of made people, look at them, pack them for a journey."""

import argparse
import sys
from dataclasses import replace

from core.errors import PortraitError


def _parser() -> argparse.ArgumentParser:
    shown = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m core.people", description="Made people: labelled views of photographs and seeds.")
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="write a store of clips; continues where it was interrupted", formatter_class=shown)
    sheet = commands.add_parser("sheet", help="draw a contact sheet: yaw, pitch, expressions, light", formatter_class=shown)
    pack = commands.add_parser("pack", help="put the people of a folder of photographs into one small file", formatter_class=shown)
    shards = commands.add_parser("shards", help="copy a store into LitData shards, for object storage", formatter_class=shown)
    shards.add_argument("--store", metavar="DIR", required=True, help="folder of the store")
    pack.add_argument("--photos", metavar="DIR", required=True, help="folder of photographs")
    pack.add_argument("--size", type=int, default=320, help="side of the stored photographs")
    for command in (write, sheet):
        command.add_argument("--photos", metavar="DIR", help="folder of photographs, or a pack of them; without it people are procedural")
        command.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes")
    write.add_argument("--people", type=int, help="training people at most (default: all photographs, 100 procedural people)")
    write.add_argument("--val-people", type=int, help="people kept out of training at most (default: a seventh of the training people)")
    write.add_argument("--frames", type=int, default=12, help="stills per person")
    write.add_argument("--groups", type=int, default=3, help="expressions among them")
    write.add_argument("--triples", type=int, default=0, help="three consecutive frames of someone talking, so many times per person")
    write.add_argument("--gaze", type=float, default=3.0, help="standard deviation of the eyes' gaze sideways in stills, degrees")
    write.add_argument("--torso-delay", type=float, default=0.0, help="seconds by which the torso of triples lags behind the head")
    write.add_argument("--relit", type=float, default=0.0, help="share of photographs that get light from elsewhere")
    write.add_argument("--toned", type=float, default=0.0, help="share of photographs that get skin of another tone")
    write.add_argument("--aged", type=float, default=0.0, help="share of photographs that look older or younger")
    write.add_argument("--size", type=int, default=512, help="side of the pictures")
    for command in (write, pack):
        command.add_argument("--workers", type=int, default=2, help="processes")
    for command in (write, sheet, pack, shards):
        command.add_argument("--out", required=True, help="where to write")
    sheet.add_argument("--names", nargs="*", help="photographs to show, by name without suffix")
    sheet.add_argument("--seeds", type=int, default=8, help="number of rows")
    sheet.add_argument("--size", type=int, default=256, help="side of each picture")
    return parser


def _sources(args: argparse.Namespace, count: int) -> list:
    from core.people.photos import find_photos
    from core.people.procedural import SeedSource

    return find_photos(args.photos) if args.photos else [SeedSource(args.seed + number) for number in range(count)]


def _write(args: argparse.Namespace) -> None:
    import numpy as np

    from core.data.clips import write_store
    from core.data.plan import PlanOptions

    train = args.people
    if train is None:
        train = 10**9 if args.photos else 100
    val = args.val_people if args.val_people is not None else (10**9 if train == 10**9 else max(1, train // 7))
    sources = _sources(args, 2 * (train + val))
    if args.photos:
        sources = [replace(source, relit=args.relit, toned=args.toned, aged=args.aged) for source in sources]
    order = np.random.default_rng(args.seed).permutation(len(sources))
    options = PlanOptions(args.frames, args.groups, args.triples, args.gaze, args.torso_delay)
    limits = {"train": train, "val": val}
    count = write_store(args.out, [sources[i] for i in order], options, args.size, args.seed, args.workers, limits)
    print(f"{count} people in {args.out}")


def _pack(args: argparse.Namespace) -> None:
    from core.people.packing import pack_photos
    from core.people.photos import PhotoSource, find_photos

    photos = [photo for photo in find_photos(args.photos) if isinstance(photo, PhotoSource)]
    if not photos:
        raise PortraitError("E_NO_PHOTOS", f"{args.photos} is a pack already", "Give the folder that it was made of.")
    rejected = pack_photos(photos, args.out, args.size, args.workers)
    print(f"{len(photos) - len(rejected)} people in {args.out}, {len(rejected)} photographs rejected")


def _shards(args: argparse.Namespace) -> None:
    from core.data.shards import write_shards

    print(f"{write_shards(args.store, args.out)} shards in {args.out}")


def _sheet(args: argparse.Namespace) -> None:
    import numpy as np

    from core.media.image import write_image
    from core.people.sheet import contact_sheet, seed_sheet

    if not args.photos:
        write_image(args.out, seed_sheet(range(args.seed, args.seed + args.seeds), args.size))
        return
    sources = _sources(args, args.seeds)
    if args.names:
        sources = [source for source in sources if source.name in args.names]
    else:
        sources = [sources[i] for i in np.random.default_rng(args.seed).permutation(len(sources))]
    people = []
    for source in sources:
        try:
            people.append(source.make(np.random.default_rng(args.seed)))
        except PortraitError as error:
            print(error, file=sys.stderr)
        if len(people) == args.seeds:
            break
    write_image(args.out, contact_sheet(people, args.size))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = _parser().parse_args(arguments)
    try:
        {"write": _write, "sheet": _sheet, "pack": _pack, "shards": _shards}[args.command](args)
    except PortraitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
