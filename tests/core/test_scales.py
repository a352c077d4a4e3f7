"""Parameter counts of the published sizes."""

import pytest
import torch
from core.hub import parameter_count
from core.nn.discriminator import DualDiscriminator, DualDiscriminatorConfig
from core.nn.superres import SuperResolution
from core.render.decoder import PlaneDecoder


@pytest.mark.parametrize(
    ("build", "millions"),
    [(SuperResolution, 1.650), (lambda: DualDiscriminator(DualDiscriminatorConfig()), 31.36)],
)
def test_published_counts(build, millions):
    with torch.device("meta"):
        assert parameter_count(build()) / 1e6 == pytest.approx(millions, rel=1e-3)


def test_decoder_count_is_exact():
    with torch.device("meta"):
        assert parameter_count(PlaneDecoder()) == 4257
