"""``lightning run STAGE fit|validate|test|predict [options]``: the stages' own command lines under one name.

Lightning itself removed its ``lightning run`` command (2.5.1); this one exists in a checkout only and is never published.
The options are those of LightningCLI, for example ``-c experiments/recon/base.yaml --trainer.devices 8``.
"""

import importlib
import sys
from collections.abc import Sequence

STAGES = {
    "recon": "stage 1: image to tri-plane",
    "animate": "stage 2: motion adapter",
    "compose": "stage 3: head, torso, background",
    "audio2motion": "stage 4: speech to motion",
}
USAGE = "usage: lightning run STAGE {fit,validate,test,predict} [options]"


def main(args: Sequence[str] | None = None) -> None:
    """Find the stage and hand the rest of the command line to it.

    Args:
        args: without the program's name; ``sys.argv[1:]`` when None. ``sys.argv`` is left alone: under DDP Lightning starts
            the other ranks by repeating it.
    """
    words = list(sys.argv[1:] if args is None else args)
    if not words or words[0] in ("-h", "--help") or words[:2] in (["run"], ["run", "-h"], ["run", "--help"]):
        print(USAGE, *(f"  {name:13} {text}" for name, text in STAGES.items()), sep="\n")
        return
    if words[0] != "run":
        sys.exit(f"lightning: unknown command {words[0]!r}\n{USAGE}")
    if words[1] not in STAGES:
        sys.exit(f"lightning run: unknown stage {words[1]!r}; choose one of {', '.join(STAGES)}")
    importlib.import_module(f"{words[1]}.cli").main(words[2:])


if __name__ == "__main__":
    main()
