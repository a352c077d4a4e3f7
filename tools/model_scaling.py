"""How the four stages should scale over GPUs: a model, not a measurement.

``python tools/model_scaling.py`` prints the two tables of docs/training.md. Parameters are counted and networks run on the meta device, at
paper size and batch 1; FLOPs are of matrix products and convolutions, two per multiplication. What a GPU does of its peak and what a link
carries are assumptions, stated in ``Machine``.
"""

from dataclasses import dataclass

import torch
from animate import MotionAdapter, MotionAdapterConfig
from audio2motion import Audio2Motion, Audio2MotionConfig
from audio2motion.model import Controls
from compose import HTBSR, HTBSRConfig
from core.camera import Camera
from core.hub import parameter_count
from core.losses.perceptual import PerceptualLoss, VGGFeatures
from core.nn.discriminator import DualDiscriminator, DualDiscriminatorConfig
from recon import I2P, HeadRenderer, HeadRendererConfig, I2PConfig
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

FRAMES = 20000
"""Frames in a batch of stage 4, ``data.frame_budget``."""
TRAIN, FROZEN, LOSS, ADVERSARY = 3, 1, 1.5, 8
"""Costs in forward passes: of a trained network; of a frozen one without gradients; of the perceptual distance (gradients to one of its
two pictures); of the discriminator (made picture with gradients to it, then made and real with gradients of its own)."""
BUCKET = 25 * 2**20
"""Bytes that DDP reduces together, by default; the last bucket of a backward pass has nothing to hide behind."""


@dataclass(frozen=True)
class Machine:
    """GPUs and what joins them, all assumed.

    Attributes:
        name: for the table.
        gpus: in all.
        compute: FLOP/s that a GPU keeps up on this work: a quarter of the H200's 990 T in bfloat16.
        bandwidth: bytes/s that a ring of all GPUs carries: 450 GB/s of NVLink each way within a machine; between machines what eight
            network cards of 400 Gbit/s (or one) carry together; 70 % of each.
        delay: seconds of a step of the ring.
    """

    name: str
    gpus: int
    compute: float = 0.25 * 990e12
    bandwidth: float = 0.7 * 450e9
    delay: float = 5e-6

    def all_reduce(self, size: float) -> float:
        """Seconds of a ring all-reduce of ``size`` bytes: every GPU sends ``2 (n - 1) / n`` of them in ``2 (n - 1)`` steps."""
        return 2 * (self.gpus - 1) / self.gpus * size / self.bandwidth + 2 * (self.gpus - 1) * self.delay


MACHINES = (
    Machine("8, NVLink", 8),
    Machine("64, 8 cards a machine", 64, bandwidth=0.7 * 400e9),
    Machine("64, 1 card a machine", 64, bandwidth=0.7 * 50e9),
)


@dataclass(frozen=True)
class Stage:
    """One generator update of a stage on every GPU.

    Attributes:
        name: package.
        parameters: that DDP reduces, the discriminator's included; frozen networks are not.
        backwards: backward passes, each of which reduces all of them (4 bytes each: gradients are float32 also with bf16-mixed).
        flop: of a GPU.
    """

    name: str
    parameters: int
    backwards: int
    flop: float

    @property
    def reduced(self) -> int:
        """Bytes of a step."""
        return 4 * self.parameters * self.backwards

    def seconds(self, machine: Machine) -> tuple[float, float, float]:
        """Computing, reducing, and what of that shows: beyond two thirds of computing, at least the last buckets."""
        compute, reduce = self.flop / machine.compute, machine.all_reduce(4 * self.parameters) * self.backwards
        last = machine.all_reduce(min(BUCKET, 4 * self.parameters)) * self.backwards
        return compute, reduce, max(reduce - compute * 2 / 3, last)


def counted(network: nn.Module, *inputs: object) -> float:
    """FLOPs of a forward pass."""
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops()


def rendered(config: HeadRendererConfig) -> float:
    """FLOPs of the decoder at all samples; autocast, which the renderer switches off, does not know the meta device."""
    volume = config.volume
    samples = config.raw_size**2 * (volume.coarse + volume.fine)
    return 2.0 * samples * volume.hidden * (volume.channels + 1 + volume.features)


def forward_costs() -> tuple[dict[str, float], dict[str, int]]:
    """FLOPs of a forward pass and parameters of every network at paper size, by name."""
    with torch.device("meta"):
        nets = {
            "i2p": I2P(I2PConfig.preset("paper")), "adapter": MotionAdapter(MotionAdapterConfig.preset("paper")),
            "renderer": HeadRenderer(HeadRendererConfig.preset("paper")), "htbsr": HTBSR(HTBSRConfig.preset("paper")),
            "critic": DualDiscriminator(DualDiscriminatorConfig()).to("meta"), "a2m": Audio2Motion(Audio2MotionConfig.preset("paper")),
            "vgg": PerceptualLoss(*(VGGFeatures(kind, (0.0,) * 3, (1.0,) * 3, 1.0) for kind in ("vgg19", "vgg16"))),
        }  # fmt: skip
        image, raw, camera = torch.zeros(1, 3, 512, 512), torch.zeros(1, 3, 128, 128), Camera(torch.zeros(1, 25))
        feature, one = torch.zeros(1, 32, 128, 128), torch.zeros(1, 1, 512, 512)
        points, segmap = torch.zeros(1, 68, 3), torch.zeros(1, 6, 512, 512)
        audio = torch.zeros(1, 2 * FRAMES, nets["a2m"].config.audio_width)
        whole = torch.zeros(1, 2 * FRAMES, dtype=torch.long)
        controls = Controls(audio, whole, whole[:, ::2], torch.zeros(1), torch.ones(1, FRAMES))
        htbsr = nets["htbsr"]
        with FlopCounterMode(display=False) as counter:
            features = htbsr.prepare(image, segmap, image, one, image, one, None)
            htbsr(feature, torch.zeros(1, 1, 128, 128), features, points, points)
        costs = {
            "i2p": counted(nets["i2p"], image, camera),
            "renderer": rendered(nets["renderer"].config) + counted(nets["renderer"].superres, raw, feature),
            "adapter": counted(nets["adapter"], *(torch.zeros(1, 3, 256, 256),) * 3), "htbsr": counter.get_total_flops(),
            "critic": counted(nets["critic"], image, raw, camera.label), "vgg": counted(nets["vgg"], image, image),
            "a2m": counted(nets["a2m"], torch.zeros(1, FRAMES, 64), controls),
        }  # fmt: skip
    return costs, {name: parameter_count(net) for name, net in nets.items()}


def stages() -> list[Stage]:
    """The paper's schedule as in ``experiments/STAGE/base.yaml``, when everything learns that ever does."""
    cost, size = forward_costs()
    seen = TRAIN * cost["renderer"] + 2 * LOSS * cost["vgg"]  # a view: final picture and raw one, both judged at 512
    still = FROZEN * (cost["i2p"] + cost["adapter"] + cost["renderer"])
    return [
        Stage("recon", size["i2p"] + size["renderer"] + size["critic"], 2,
              TRAIN * cost["i2p"] + 2 * (seen + ADVERSARY * cost["critic"])),
        Stage("animate", size["i2p"] + size["adapter"] + size["renderer"], 1,
              TRAIN * (cost["i2p"] + cost["adapter"]) + seen),
        Stage("compose", size["htbsr"] + size["critic"], 2,
              still + TRAIN * cost["htbsr"] + LOSS * cost["vgg"] + ADVERSARY * cost["critic"]),
        Stage("audio2motion", size["a2m"], 1, TRAIN * cost["a2m"]),
    ]  # fmt: skip


def main() -> None:
    """Print both tables."""
    made = stages()
    print("| stage | parameters reduced, M | backward passes | MB reduced | TFLOP a GPU |", "|---|---|---|---|---|", sep="\n")
    for s in made:
        print(f"| {s.name} | {s.parameters / 1e6:.1f} | {s.backwards} | {s.reduced / 1e6:,.0f} | {s.flop / 1e12:.2f} |")
    print("", "| stage | GPUs | compute, ms | all-reduce, ms | of it not hidden, ms | efficiency |", sep="\n")
    print("|---|---|---|---|---|---|")
    for s in made:
        for machine in MACHINES:
            compute, reduce, shown = s.seconds(machine)
            times = " | ".join(f"{1e3 * x:.1f}" for x in (compute, reduce, shown))
            print(f"| {s.name} | {machine.name} | {times} | {compute / (compute + shown):.0%} |")


if __name__ == "__main__":
    main()
