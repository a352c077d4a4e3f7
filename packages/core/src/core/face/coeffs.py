"""Coefficients of the 3DMM: what a fit yields and a driver supplies."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class FaceCoeffs:
    """Identity, expression and pose of one face per batch entry (or video frame).

    Attributes:
        id: whitened identity code.
        exp: whitened expression code.
        euler: (pitch, yaw, roll) in radians.
        trans: translation in 3DMM units; z is the offset from the camera distance of 10.
    """

    id: Float[Tensor, "b 80"]
    exp: Float[Tensor, "b 64"]
    euler: Float[Tensor, "b 3"]
    trans: Float[Tensor, "b 3"]

    @classmethod
    def zeros(cls, batch: int) -> "FaceCoeffs":
        """The mean face, neutral, frontal, at the camera distance of 10."""
        return cls(torch.zeros(batch, 80), torch.zeros(batch, 64), torch.zeros(batch, 3), torch.zeros(batch, 3))

    @classmethod
    def cat(cls, parts: "list[FaceCoeffs]") -> "FaceCoeffs":
        """Concatenate along the batch."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __len__(self) -> int:
        return self.exp.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "FaceCoeffs":
        return FaceCoeffs(self.id[index], self.exp[index], self.euler[index], self.trans[index])

    def with_exp(self, exp: Float[Tensor, "b 64"]) -> "FaceCoeffs":
        """The same face and pose with another expression."""
        return replace(self, exp=exp)

    def to(self, device: torch.device | str) -> "FaceCoeffs":
        """The same coefficients on another device."""
        return FaceCoeffs(self.id.to(device), self.exp.to(device), self.euler.to(device), self.trans.to(device))
