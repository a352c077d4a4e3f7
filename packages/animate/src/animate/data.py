"""Data of stage 2: two frames of one person with any two expressions, and the codes just before and after the target frame."""

from core.train.data import ClipDataModule


class AnimateDataModule(ClipDataModule):
    """Clip store with pairs that differ in expression and camera."""
