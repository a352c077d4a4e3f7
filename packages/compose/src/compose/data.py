"""Data of stage 3: pairs of frames with torso, background and segmentation."""

from core.train.data import ClipDataModule


class ComposeDataModule(ClipDataModule):
    """Clip store with pairs that differ in expression and camera; the target is the whole picture."""

    photo_share = 1.0  # torso and background of a clip are those of its photograph, so that must be the source
