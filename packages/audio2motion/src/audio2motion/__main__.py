"""``python -m audio2motion`` is ``real3d-audio2motion``."""

from audio2motion.cli import main

main()
