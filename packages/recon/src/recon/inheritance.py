"""What a student of EG3D begins with: its teacher's decoder, super-resolution and discriminator (spec 9.1)."""

from pathlib import Path

from core.errors import PortraitError
from core.nn.discriminator import DualDiscriminator
from torch import nn

from recon.eg3d_critic import read_critic
from recon.eg3d_pickle import read_eg3d
from recon.renderer import HeadRenderer


def inherit(renderer: HeadRenderer, critic: DualDiscriminator | None, path: str | Path) -> None:
    """Copy the tensors of an EG3D pickle into the student's networks; their options stay the student's.

    Args:
        renderer: gets decoder and super-resolution.
        critic: gets the discriminator; None where there is no adversary.
        path: NVIDIA's ``.pkl``.

    Raises:
        PortraitError: ``E_WEIGHTS`` when the pickle is absent, is not EG3D's, or has other sizes than the student.
    """
    raw_size = renderer.config.raw_size
    _copy(renderer, read_eg3d(path, raw_size=raw_size).renderer, path)
    if critic is not None:
        _copy(critic, read_critic(path, raw_size), path)


def _copy(student: nn.Module, teacher: nn.Module, path: str | Path) -> None:
    try:
        student.load_state_dict(teacher.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise PortraitError("E_WEIGHTS", f"{path} has other sizes than this student: {reason}",
                            "Use model.scale paper, or leave model.teacher_start out.") from error  # fmt: skip
