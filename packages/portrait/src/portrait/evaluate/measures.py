"""The columns of the tables; what each number means is in ``docs/metrics.md``."""

from dataclasses import dataclass
from typing import Literal

from portrait.evaluate.pairing import PROTOCOLS

SAME, CROSS, AUDIO = PROTOCOLS


@dataclass(frozen=True)
class Measure:
    """One column.

    Attributes:
        title: in headings.
        better: which way; None where the driver's own value is the aim.
        digits: after the point.
        protocols: that have it.
        alone: needs no driver, so that driving videos have a value too.
    """

    title: str
    better: Literal["up", "down"] | None
    digits: int = 3
    protocols: tuple[str, ...] = PROTOCOLS
    alone: bool = False

    @property
    def arrow(self) -> str:
        """After the title."""
        return {"up": " ↑", "down": " ↓", None: ""}[self.better]


MEASURES: dict[str, Measure] = {
    "l1": Measure("L1", "down", 4, (SAME,)),
    "psnr": Measure("PSNR", "up", 2, (SAME,)),
    "ssim": Measure("SSIM", "up", 3, (SAME,)),
    "psnr_steady": Measure("PSNR, steady places", "up", 2, (SAME,)),
    "lpips": Measure("LPIPS", "down", 3, (SAME,)),
    "fid": Measure("FID", "down", 2),
    "csim": Measure("CSIM", "up"),
    "aed": Measure("AED", "down"),
    "apd": Measure("APD", "down", 4, (SAME, CROSS)),
    "aed_deep3d": Measure("AED, Deep3D", "down"),
    "apd_deep3d": Measure("APD, Deep3D", "down", 4, (SAME, CROSS)),
    "akd": Measure("AKD", "down", 2, (SAME,)),
    "mouth_correlation": Measure("mouth correlation", "up", 3, (SAME, CROSS)),
    "lid_correlation": Measure("lid correlation", "up", 3, (SAME, CROSS)),
    "sync_c": Measure("Sync-C", "up", 2, alone=True),
    "sync_d": Measure("Sync-D", "down", 2, alone=True),
    "audio_offset": Measure("audio offset (ms)", "down", 0, alone=True),
    "audio_correlation": Measure("audio correlation", "up", 2, alone=True),
    "flicker": Measure("flicker", None, 2, alone=True),
    "mouth_sharpness": Measure("mouth sharpness", None, 2, alone=True),
    "neck_seam": Measure("neck seam", None, 2, alone=True),
    "blink_drift": Measure("blink drift (%)", "down", 2, alone=True),
    "identity_drift": Measure("identity drift", "down", 3),
    "lost": Measure("frames without face (%)", "down", 1, alone=True),
}


def columns(protocol: str) -> dict[str, Measure]:
    """The measures of a protocol, in order."""
    return {key: measure for key, measure in MEASURES.items() if protocol in measure.protocols}
