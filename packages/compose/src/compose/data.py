"""Data of stage 3: pairs of frames with torso, background and segmentation."""

from core.train.data import ClipDataModule


class ComposeDataModule(ClipDataModule):
    """Clip store with pairs that differ in expression and camera; the target is the whole picture."""
