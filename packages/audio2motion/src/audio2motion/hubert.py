"""HuBERT features (Hsu et al. 2021) through ``transformers``: what the paper's model hears (spec 8.1)."""

from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from core.errors import PortraitError
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from audio2motion.features import FRAME_RATE, HOP, Voice

PIECE = 1000
"""Rows per forward pass (20 s), the reference's."""
CONTEXT = 100
"""Rows of overlap on either side of a piece; the positional convolution alone sees 64."""


class HubertEncoder:
    """Last hidden state of HuBERT for the standardised waveform.

    Long sound goes through in overlapping pieces, of which the middles are kept: where a piece has its context, its rows are those of the
    whole, but for what attention would have drawn from farther away.

    Args:
        source: folder or hub id of the weights, or a ``.pt`` file of fairseq (`audio2motion.fairseq_hubert`).
        device: where HuBERT runs.
        piece: rows per forward pass.
        context: rows of overlap on each side of a piece; 0 reproduces the reference, which loses context at the joints.
        half: compute in float16; None: on GPUs.

    Raises:
        PortraitError: ``E_HUBERT`` when there are no such weights or ``transformers`` is missing.
    """

    kind = "hubert"
    rate = FRAME_RATE

    def __init__(self, source: str = "facebook/hubert-large-ls960-ft", device: str = "cpu", piece: int = PIECE, context: int = CONTEXT,
                 half: bool | None = None) -> None:  # fmt: skip
        self.piece, self.context, self.device = piece, context, device
        self.dtype = torch.float16 if (torch.device(device).type == "cuda" if half is None else half) else torch.float32
        self._network = load_hubert(source).to(device, self.dtype)
        self.width = int(self._network.config.hidden_size)

    def measure(self, wave: Float[Tensor, "n"], floor: float = 0.0) -> Voice:
        """Mean and deviation, as transformers' own processor; HuBERT learnt voices and microphones by itself."""
        return Voice.of(wave.cpu(), floor)

    @torch.no_grad()
    def __call__(self, wave: Float[Tensor, "n"], voice: Voice | None = None) -> Float[Tensor, "u c"]:
        """Features on the CPU, float32."""
        rows = -(-wave.shape[0] // HOP)
        voice = voice or self.measure(wave)
        wave = torch.nan_to_num(wave.float(), nan=0.0, posinf=0.0, neginf=0.0).to(self.device)
        wave = F.pad((wave - voice.offset) / (voice.deviation**2 + 1e-7) ** 0.5, (0, rows * HOP - wave.shape[0]))
        parts = []
        for start in range(0, rows, self.piece):
            stop, begin = min(start + self.piece, rows), max(start - self.context, 0)
            end = min(stop + self.context, rows)
            # 40 samples on each side make the network's window of 400 centred on its row and the row count exact.
            piece = F.pad(wave[begin * HOP : end * HOP], (40, 40)).to(self.dtype)
            hidden = rearrange(self._network(piece[None]).last_hidden_state, "1 u c -> u c")
            parts.append(hidden[start - begin : stop - begin].float().cpu())
        return torch.cat(parts) if parts else torch.zeros(0, self.width)

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights and of how they are used: the same features have the same one (`audio2motion.feature_cache`)."""
        digest = sha256(f"{self.piece} {self.context} {self.dtype}".encode())
        for name, tensor in sorted(self._network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]


def load_hubert(source: str) -> Any:
    """``transformers.HubertModel`` in eval mode, float32, on the CPU.

    Raises:
        PortraitError: as `HubertEncoder`; ``E_WEIGHTS`` for a ``.pt`` file that is none of fairseq's.
    """
    try:
        from transformers import HubertModel
    except ImportError as error:
        raise PortraitError("E_HUBERT", "HuBERT features need the package transformers",
                            "Install real3d-audio2motion[hubert], or use weights made for log-mel.") from error  # fmt: skip
    if Path(source).suffix == ".pt":
        from audio2motion.fairseq_hubert import read_fairseq_hubert

        return read_fairseq_hubert(source)
    try:
        return HubertModel.from_pretrained(source).eval()
    except (OSError, ValueError) as error:
        raise PortraitError("E_HUBERT", f"no HuBERT weights in {source}",
                            "Give a folder with config.json and the weights, a hub id, or fairseq's .pt file.") from error  # fmt: skip
