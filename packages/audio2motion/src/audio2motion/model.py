"""Audio2Motion: a flow-enhanced variational auto-encoder from speech to expression codes (paper 3.4, B.6; spec 8.2)."""

from dataclasses import dataclass

import torch
from core.hub import Pretrained
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from audio2motion.config import Audio2MotionConfig
from audio2motion.flow import PriorFlow
from audio2motion.halving import TAPS, halve
from audio2motion.wavenet import WaveNet

EXP_DIM = 64
PITCH_ROWS = 300
"""Rows of the pitch embedding; coarse pitch uses 1..255."""
SQUEEZE = 4
"""Motion frames per latent frame (25 fps to 6.25 Hz)."""


@dataclass(frozen=True)
class Controls:
    """What the network hears and obeys; audio and pitch at 50 Hz, blink at 25 fps (u = 2 t).

    Attributes:
        audio: features of the clip, see `audio2motion.features`.
        pitch: coarse pitch 1..255, see `audio2motion.pitch.coarse_pitch`.
        blink: 1 on the centre frame of a blink, else 0.
        mouth_amplitude: one number a clip, see `Audio2MotionConfig.mouth_amplitude`.
        mask: 1 where the clip has frames, 0 where it is padding.
    """

    audio: Float[Tensor, "b u c"]
    pitch: Int[Tensor, "b u"]
    blink: Int[Tensor, "b t"]
    mouth_amplitude: Float[Tensor, "b"]
    mask: Float[Tensor, "b t"]

    def to(self, device: torch.device | str) -> "Controls":
        """The same controls on another device."""
        return Controls(*(getattr(self, name).to(device) for name in ("audio", "pitch", "blink", "mouth_amplitude", "mask")))


@dataclass(frozen=True)
class Reconstruction:
    """What training needs from one pass through the posterior.

    Attributes:
        exp: reconstructed expression codes.
        kl: Monte-Carlo estimate of KL(q || flow prior) per latent number (spec 8.2).
        heard: the condition g, what the network made of sound, blinks and amplitude.
        prior_exp: expression codes decoded from a sample of the prior, as inference does; None unless asked for.
    """

    exp: Float[Tensor, "b t 64"]
    kl: Float[Tensor, ""]
    heard: Float[Tensor, "b c t"]
    prior_exp: Float[Tensor, "b t 64"] | None


def _stack(width: int, cond: int) -> nn.Sequential:
    first, second = nn.Conv1d(width, cond, 3, padding=1, bias=False), nn.Conv1d(cond, cond, 3, padding=1, bias=False)
    return nn.Sequential(first, nn.BatchNorm1d(cond), nn.GELU(), second)


class Condition(nn.Module):
    """Audio, pitch, blink and mouth amplitude joined into one sequence at 25 fps."""

    def __init__(self, config: Audio2MotionConfig) -> None:
        super().__init__()
        width = config.cond_width
        self.downsample = config.downsample
        self.audio = _stack(config.audio_width, width)
        self.pitch_table = nn.Embedding(PITCH_ROWS, width)
        self.pitch = _stack(width, width)
        self.blink_table = nn.Embedding(2, width)
        self.amplitude = nn.Parameter(torch.randn(width))
        self.join = nn.Linear(4 * width, width)

    def forward(self, controls: Controls) -> Float[Tensor, "b c t"]:
        """The condition g."""
        audio = halve(self.audio(rearrange(controls.audio, "b u c -> b c u")), self.downsample)
        pitch = halve(self.pitch(rearrange(self.pitch_table(controls.pitch), "b u c -> b c u")), self.downsample)
        blink = rearrange(self.blink_table(controls.blink), "b t c -> b c t")
        amplitude = (controls.mouth_amplitude[:, None] * self.amplitude)[..., None].expand_as(audio)
        joined = torch.cat([audio, pitch, blink, amplitude], dim=1)
        return rearrange(self.join(rearrange(joined, "b c t -> b t c")), "b t c -> b c t") * controls.mask[:, None]


class Audio2Motion(nn.Module, Pretrained):
    """Speech to expression codes at 25 fps.

    Lengths must be whole latent frames: t a multiple of 4, u = 2 t (`audio2motion.predict` pads).

    Args:
        config: sizes; `Audio2MotionConfig.preset`.
    """

    def __init__(self, config: Audio2MotionConfig) -> None:
        super().__init__()
        self.config = config
        hidden, cond = config.hidden, config.cond_width
        self.condition = Condition(config)
        self.squeeze = nn.Conv1d(cond, cond, 2 * SQUEEZE, stride=SQUEEZE, padding=SQUEEZE // 2)
        self.encoder_in = nn.Conv1d(EXP_DIM, hidden, 2 * SQUEEZE, stride=SQUEEZE, padding=SQUEEZE // 2)
        self.encoder = WaveNet(hidden, cond, config.encoder_layers, config.kernel)
        self.encoder_out = nn.Conv1d(hidden, 2 * config.latent, 1)
        self.flow = PriorFlow(config.latent, config.flow_hidden, cond, config.flow_layers, config.flow_steps)
        self.decoder_in = nn.ConvTranspose1d(config.latent, hidden, SQUEEZE, stride=SQUEEZE)
        self.decoder = WaveNet(hidden, cond, config.decoder_layers, config.kernel)
        self.decoder_out = nn.Conv1d(hidden, EXP_DIM, 1)

    def forward(self, exp: Float[Tensor, "b t 64"], controls: Controls, generator: torch.Generator | None = None,
                prior_temperature: float | None = None) -> Reconstruction:  # fmt: skip
        """Encode true motion, sample the posterior, decode; with ``prior_temperature`` also decode a sample of the prior."""
        mask = controls.mask[:, None]
        squeezed_mask = mask[..., ::SQUEEZE]
        g = self.condition(controls)
        squeezed = self.squeeze(g)
        hidden = self.encoder_in(rearrange(exp, "b t c -> b c t") * mask) * squeezed_mask
        mean, log_std = self.encoder_out(self.encoder(hidden, squeezed, squeezed_mask)).chunk(2, dim=1)
        noise = _normal(mean, generator)
        z = (mean + noise * log_std.exp()) * squeezed_mask
        z_normal = self.flow(z, squeezed, squeezed_mask)
        divergence = (0.5 * z_normal**2 - 0.5 * noise**2 - log_std) * squeezed_mask
        kl = divergence.sum() / (squeezed_mask.sum().clamp(min=1) * mean.shape[1])
        prior_exp = None
        if prior_temperature is not None:
            prior_exp = self._from_noise(_normal(mean, generator) * prior_temperature, g, squeezed, mask)
        return Reconstruction(self._decode(z, g, mask), kl, g, prior_exp)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.decoder_out.weight.device

    @property
    def reach(self) -> int:
        """Frames to either side, in whole latent frames, that can move a frame; with so much context a part equals the whole."""
        config = self.config
        audio = 1 + (TAPS // 4 if config.downsample == "lowpass" else 0)
        flow = config.flow_steps * config.flow_layers * SQUEEZE
        decoder = config.decoder_layers * (config.kernel // 2)
        return -(-(audio + flow + decoder + 2 * SQUEEZE) // SQUEEZE) * SQUEEZE

    def sample(self, controls: Controls, temperature: float = 0.2, generator: torch.Generator | None = None) -> Float[Tensor, "b t 64"]:
        """Motion for speech: temperature * N(0, I) through the inverse flow and the decoder; temperature 0 is the mode."""
        batch, frames = controls.mask.shape
        noise = _normal(controls.mask.new_zeros(batch, self.config.latent, frames // SQUEEZE), generator)
        return self.decode_prior(controls, noise * temperature)

    def decode_prior(self, controls: Controls, noise: Float[Tensor, "b z s"]) -> Float[Tensor, "b t 64"]:
        """`sample` with the noise (already scaled by the temperature) given; s = t / 4."""
        g = self.condition(controls)
        return self._from_noise(noise, g, self.squeeze(g), controls.mask[:, None])

    def _from_noise(self, noise: Float[Tensor, "b z s"], g: Float[Tensor, "b c t"], squeezed: Float[Tensor, "b c s"],
                    mask: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b t 64"]:  # fmt: skip
        squeezed_mask = mask[..., ::SQUEEZE]
        return self._decode(self.flow.inverse(noise * squeezed_mask, squeezed, squeezed_mask), g, mask)

    def _decode(self, z: Float[Tensor, "b z s"], g: Float[Tensor, "b c t"], mask: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b t 64"]:
        hidden = self.decoder(self.decoder_in(z) * mask, g, mask)
        return rearrange(self.decoder_out(hidden) * mask, "b c t -> b t c")


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise shaped ``like``; drawn where the generator lives, so that a seed means one thing."""
    device = generator.device if generator is not None else like.device
    return torch.randn(like.shape, generator=generator, device=device).to(like)
