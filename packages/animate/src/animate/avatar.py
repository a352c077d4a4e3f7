"""The animated head of stage 2: Eq. 2 of Real3D-Portrait in one object."""

from pathlib import Path

import torch
from core.camera import Camera, Window
from jaxtyping import Float
from recon.model import I2P
from recon.renderer import HeadRenderer, HeadRendering
from torch import Tensor, nn

from animate.model import MotionAdapter


class HeadAvatar(nn.Module):
    """``I_drv = SR(VR(I2P(I_src) + MA(PNCC_src, PNCC_drv), camera))`` (Eq. 2).

    Attributes:
        i2p: image to canonical planes (stage 1).
        adapter: PNCCs to residual planes.
        renderer: volume rendering and super-resolution.
    """

    def __init__(self, i2p: I2P, adapter: MotionAdapter, renderer: HeadRenderer) -> None:
        super().__init__()
        self.i2p = i2p
        self.adapter = adapter
        self.renderer = renderer

    @classmethod
    def from_folder(cls, weights: str | Path) -> "HeadAvatar":
        """Read ``i2p``, ``adapter`` and ``renderer`` below ``weights``, as stage 2 wrote them; in eval mode.

        Raises:
            PortraitError: ``E_WEIGHTS`` when one of them is missing or does not fit.
        """
        folder = Path(weights)
        return cls(
            I2P.from_pretrained(folder / "i2p"),
            MotionAdapter.from_pretrained(folder / "adapter"),
            HeadRenderer.from_pretrained(folder / "renderer"),
        ).eval()

    def canonical(self, head_image: Float[Tensor, "b 3 h w"], camera: Camera | None = None) -> Float[Tensor, "b 3 c p p"]:
        """Canonical planes of a source image (head only, the rest -1) and the camera that took it; once per source."""
        return self.i2p(head_image, camera)

    def animate(
        self,
        planes_cano: Float[Tensor, "#b 3 c p p"],
        pncc_src: Float[Tensor, "#b 3 h w"],
        pncc_drv: Float[Tensor, "b 3 h w"],
        pncc_cano: Float[Tensor, "#b 3 h w"] | None = None,
        rest: Float[Tensor, "#b 3 c p p"] | None = None,
    ) -> Float[Tensor, "b 3 c p p"]:
        """Canonical plus residual planes. One source serves many frames: a batch of one broadcasts over ``pncc_drv``.

        ``rest`` is ``adapter.at_rest(pncc_src, pncc_cano)``, if it is at hand: it depends on the source only.
        """
        count = pncc_drv.shape[0]
        still = [None if image is None else image.expand(count, -1, -1, -1) for image in (pncc_src, pncc_cano)]
        return planes_cano + self.adapter(still[0], pncc_drv, still[1], rest)

    def forward(
        self,
        head_image: Float[Tensor, "b 3 h w"],
        pncc_src: Float[Tensor, "b 3 p p"],
        pncc_drv: Float[Tensor, "b 3 p p"],
        camera: Camera,
        pncc_cano: Float[Tensor, "b 3 p p"] | None = None,
        window: Window | None = None,
        generator: torch.Generator | None = None,
        source_camera: Camera | None = None,
    ) -> HeadRendering:
        """All of Eq. 2; ``window`` and ``generator`` as in ``HeadRenderer.forward``, ``source_camera`` as in ``I2P.forward``."""
        planes = self.animate(self.canonical(head_image, source_camera), pncc_src, pncc_drv, pncc_cano)
        return self.renderer(planes, camera, window=window, generator=generator)
