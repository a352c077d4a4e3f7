"""Collect the five networks of a trained system into one folder of float16 weights, as it ships inside the package.

    python tools/ship_weights.py STAGE2_WEIGHTS STAGE3_WEIGHTS STAGE4_WEIGHTS OUT

The first three are the weights folders that the stages exported: ``i2p adapter renderer``, ``htbsr``, ``audio2motion``.
"""

import sys
from pathlib import Path

from animate import MotionAdapter
from audio2motion import Audio2Motion
from compose import HTBSR
from recon import I2P, HeadRenderer

LIMIT = 16 * 2**20


def main(stage2: str, stage3: str, stage4: str, out: str) -> None:
    """Read strictly, write float16, say how large it is."""
    networks = {
        "i2p": I2P.from_pretrained(Path(stage2) / "i2p"),
        "adapter": MotionAdapter.from_pretrained(Path(stage2) / "adapter"),
        "renderer": HeadRenderer.from_pretrained(Path(stage2) / "renderer"),
        "htbsr": HTBSR.from_pretrained(Path(stage3) / "htbsr"),
        "audio2motion": Audio2Motion.from_pretrained(Path(stage4) / "audio2motion"),
    }
    for name, network in networks.items():
        network.save_half(Path(out) / name)
        size = (Path(out) / name / "model.safetensors").stat().st_size
        print(f"{name:14} {size / 2**20:6.2f} MB")
        if size > LIMIT:
            sys.exit(f"{name} is larger than {LIMIT / 2**20:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
