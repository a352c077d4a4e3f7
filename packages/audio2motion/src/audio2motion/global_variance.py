"""``python -m audio2motion.global_variance WEIGHTS CORPUS OUT``: motion as wide as that of the faces that were learnt from.

A network that is trained on squared errors answers doubt with the mean, so its mouths are less round, less wide, less open and less shut
than those it learnt from. Speech synthesis gives the lost variance back after training (global variance, Toda and Tokuda 2007); here the
codes' whole covariance, by the linear map that moves one normal distribution onto another with the least change (Olkin and Pukelsheim
1982). It goes into the last layer's weights, so inference costs and knows nothing of it.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from core.errors import PortraitError
from jaxtyping import Float
from torch import Tensor

from audio2motion.corpus import CorpusDataset
from audio2motion.data import SpeechBatch, collate_clips
from audio2motion.model import Audio2Motion

CLIPS, TOGETHER = 400, 20
"""Clips of the corpus that are measured, and how many in a batch."""
FLOOR = 0.02
"""Share of the mean variance that every direction has at least: noise in directions that hardly move must not be blown up."""


@torch.no_grad()
def restore_variance(net: Audio2Motion, batches: Iterable[SpeechBatch], amount: float = 1.0) -> None:
    """Change the last layer of ``net`` in place.

    Args:
        net: in eval mode.
        batches: speech with true motion, a few hundred clips.
        amount: 0 changes nothing, 1 gives mean and covariance of the true codes to those of temperature 0.

    Raises:
        PortraitError: ``E_DATA`` when there are fewer frames than codes need.
    """
    made, true = [], []
    for batch in batches:
        real = batch.controls.mask > 0
        made.append(net.sample(batch.controls, temperature=0.0)[real])
        true.append(batch.exp[real])
    frames = sum(map(len, made))
    if frames < 10 * net.decoder_out.out_channels:
        raise PortraitError("E_DATA", f"{frames} frames are too few to measure a covariance", "Give a corpus of more clips.")
    change, shift = widening(torch.cat(made).double(), torch.cat(true).double(), amount)
    layer = net.decoder_out
    layer.bias.copy_(change @ layer.bias.double() + shift)
    layer.weight.copy_((change @ layer.weight[..., 0].double())[..., None])


def widening(made: Float[Tensor, "n c"], true: Float[Tensor, "n c"], amount: float) -> tuple[Float[Tensor, "c c"], Float[Tensor, "c"]]:
    """Map and shift that take codes like ``made`` to codes like ``true``, or so far towards them."""
    unit = torch.eye(made.shape[1]).to(made)
    floor = FLOOR * torch.cov(true.T).trace() / len(unit) * unit
    narrow, wide = torch.cov(made.T) + floor, torch.cov(true.T) + floor
    root = _root(narrow)
    back = torch.linalg.inv(root)
    change = (1 - amount) * unit + amount * back @ _root(root @ wide @ root) @ back
    centre = torch.lerp(made.mean(0), true.mean(0), amount)
    return change, centre - change @ made.mean(0)


def _root(matrix: Float[Tensor, "c c"]) -> Float[Tensor, "c c"]:
    """Symmetric square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def main(args: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m audio2motion.global_variance", description=__doc__.split("\n\n")[0])
    parser.add_argument("weights", type=Path, help="folder of the trained audio2motion weights")
    parser.add_argument("corpus", type=Path, help="folder of the corpus that they were trained on")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--amount", type=float, default=1.0, help="0 changes nothing, 1 restores all of the variance (default: 1)")
    options = parser.parse_args(args)
    net = Audio2Motion.from_pretrained(options.weights).eval()
    clips = CorpusDataset(options.corpus, "train")
    count = min(CLIPS, len(clips))
    parts = (range(start, min(start + TOGETHER, count)) for start in range(0, count, TOGETHER))
    restore_variance(net, (collate_clips([clips[index] for index in part]) for part in parts), options.amount)
    net.save_pretrained(options.out)


if __name__ == "__main__":
    main()
