"""Which rules made a clip."""

import hashlib
from pathlib import Path

FILES = (
    "augment", "features", "lip_shapes", "logmel", "mouth", "pitch", "prosody", "sentences", "speech", "synthesis", "viseme_classes",
    "visemes",
)  # fmt: skip
"""Files of this package that decide what a made clip is."""


def rules_fingerprint() -> str:
    """Twelve hex digits over their source, for the recipe of a corpus: clips of other rules are made again, not taken for these."""
    sources = [Path(__file__).with_name(f"{name}.py").read_bytes() for name in FILES]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:12]
