"""The whole system: a photograph and a driver in, frames out one by one (spec 0 and 11)."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from animate import HeadAvatar
from audio2motion import Audio2Motion, AudioEncoder, encoder_for
from compose import HTBSR
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from jaxtyping import UInt8

from portrait.background import choose_background
from portrait.blink import apply_blinks
from portrait.driving import VideoReader, drive_from_audio, drive_from_video
from portrait.gaze import plan_gaze
from portrait.gestures import apply_brows, apply_nods, hear_accents
from portrait.networks import choose_device, weights_folder
from portrait.plan import Plan, plan_blinks, plan_brows, plan_pose
from portrait.precision import choose_precision, head_precision
from portrait.refine import check_steps, refine_planes
from portrait.rendering import Frame, Renderer
from portrait.source import Source, prepare_source
from portrait.stream import Progress, silently
from portrait.timing import StageTimer

Photograph = str | Path | UInt8[np.ndarray, "h w 3"] | Source


class Portrait:
    """Photograph + driver to frames.

    Args:
        avatar: stages 1 and 2.
        compositor: stage 3.
        audio2motion: stage 4.
        face: the 3DMM that the networks were trained with.
        device: where the networks run.
        batch: frames computed together; None is 1 on a CPU, whose caches are small, and 8 on a GPU.
        precision: ``auto``, ``float32`` or ``bfloat16``: type of convolutions and matrix products (``portrait.precision``).

    Attributes:
        precision: the type that was chosen.
        timer: wall time per stage since construction.
        size: side of the frames in pixels.
        avatar: stages 1 and 2, in eval mode.
        compositor: stage 3, folded.

    Raises:
        PortraitError: ``E_FACE_MODEL`` when the weights belong to another 3DMM; ``E_PRECISION``.
    """

    def __init__(
        self, avatar: HeadAvatar, compositor: HTBSR, audio2motion: Audio2Motion, face: FaceModel,
        device: torch.device | str = "cpu", batch: int | None = None, precision: str = "auto",
    ) -> None:  # fmt: skip
        for name, config in (("adapter", avatar.adapter.config), ("audio2motion", audio2motion.config)):
            face.require(config.face_model, f"the weights of {name}")
        self.device = torch.device(device)
        self.face = face
        self.timer = StageTimer()
        self.audio2motion = audio2motion.to(self.device).eval().requires_grad_(False)
        avatar, compositor = (net.to(self.device).eval().requires_grad_(False) for net in (avatar, compositor))
        self.precision = choose_precision(precision, compositor.config, self.device)
        compositor.fold(self.precision)
        avatar.renderer.volume.quicken()
        self.size = compositor.config.image_size
        batch = batch or (1 if self.device.type == "cpu" else 8)
        self.avatar, self.compositor = avatar, compositor
        self._renderer = Renderer(
            avatar, compositor, face, self.device, batch, self.timer, head_precision(self.precision, compositor.config)
        )

    @classmethod
    def from_pretrained(
        cls, source: str | Path = "tiny", device: str = "auto", batch: int | None = None, face_model: str | Path = "embedded",
        precision: str = "auto",
    ) -> "Portrait":  # fmt: skip
        """Load the five networks.

        Args:
            source: ``tiny`` (shipped with the package) or a folder with ``i2p adapter renderer htbsr audio2motion``.
            device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
            batch: frames computed together; None is 1 on a CPU, whose caches are small, and 8 on a GPU.
            face_model: ``embedded``, or a folder with the files of BFM 2009 for weights that were trained with them.
            precision: ``auto``, ``float32`` or ``bfloat16``, of convolutions and matrix products.

        Raises:
            PortraitError: ``E_WEIGHTS``, ``E_DEVICE``, ``E_FACE_MODEL`` or ``E_PRECISION``.
        """
        target, folder = choose_device(device), weights_folder(source)
        avatar = HeadAvatar.from_folder(folder)
        compositor, talker = HTBSR.from_pretrained(folder / "htbsr"), Audio2Motion.from_pretrained(folder / "audio2motion")
        face = FaceModel.load(face_model, compositor.config.lm68_one_based)
        return cls(avatar, compositor, talker, face, target, batch, precision)

    @cached_property
    def encoder(self) -> AudioEncoder:
        """Of the audio features that the weights were trained on."""
        return encoder_for(self.audio2motion.config, str(self.device))

    def prepare(self, source: Photograph, face: int | None = None) -> Source:
        """Find the face, cut out, take apart and fit; a ``Source`` comes back as it is, so that one serves many clips."""
        if isinstance(source, Source):
            return source
        with self.timer("prepare source"):
            return prepare_source(source, self.face, self.size, face)

    def refine(self, source: Photograph, steps: int, seed: int = 0, face: int | None = None, progress: Progress = silently) -> Source:
        """The prepared photograph with planes that learnt it (``portrait.refine``); keep it for further clips.

        A ``Source`` that has such planes comes back as it is, and so does one with ``steps`` 0.

        Raises:
            PortraitError: ``E_REFINE`` for a senseless number of steps, or as ``prepare``.
        """
        check_steps(steps)
        prepared = self.prepare(source, face)
        if not steps or prepared.planes is not None:
            return prepared
        with self.timer("refine"):
            return replace(prepared, planes=refine_planes(self.avatar, self.face, prepared, steps, seed, progress))

    def plan(
        self,
        source: Photograph,
        audio: str | Path | None = None,
        video: str | Path | None = None,
        pose: str | Path | None = None,
        background: str | Path | None = None,
        blink: str | Path | None = None,
        mouth_amplitude: float | None = None,
        expression: str = "absolute",
        seed: int = 0,
        face: int | None = None,
        progress: Progress = silently,
        brows: str | Path | None = None,
        nods: bool = False,
        refine: int = 0,
        gaze: str | Path | None = None,
    ) -> Plan:
        """Read and check the input and decide every frame without rendering any.

        The arguments are those of ``animate``; ``progress`` shows how far reading a driving video is, and then the refinement.
        """
        if (audio is None) == (video is None):
            raise ValueError("give audio or video: one of them")
        if blink == "model" and audio is None:
            raise ValueError("blink='model' needs audio: the model makes motion from speech")
        check_steps(refine)
        prepared = self.prepare(source, face)
        scenery = choose_background(background, prepared)
        coeffs = prepared.coeffs
        blink, gaze = blink or ("none" if audio is None else "natural"), gaze or ("natural" if video is None else video)
        with self.timer("read driver"):
            read = VideoReader(self.face, progress)
            if audio is not None:
                driving = drive_from_audio(audio, self.audio2motion, mouth_amplitude, seed, self.encoder, blink == "model")
            else:
                driving = drive_from_video(str(video), self.face, coeffs, expression, progress, read)
            euler, trans = plan_pose(coeffs, driving, pose, seed, read)
            exp, frames = driving.exp, len(driving.exp)
            accents = hear_accents(driving.sound) if nods or brows == "prosody" else None
            if brows is not None:
                exp = apply_brows(self.face, exp, plan_brows(self.face, brows, frames, accents, read))
            if nods and accents is not None:
                euler, trans = apply_nods(accents, euler, trans)
            exp = apply_blinks(self.face, coeffs.id, exp, plan_blinks(self.face, blink, frames, seed, read))
        prepared = self.refine(prepared, refine, seed, progress=progress)
        motion = FaceCoeffs(coeffs.id.expand(len(exp), -1), exp, euler, trans)
        return Plan(prepared, scenery, motion, driving.sound, plan_gaze(gaze, euler - coeffs.euler, seed, read))

    def render(self, plan: Plan, maps: Collection[int] = ()) -> Iterator[Frame]:
        """Frames of ``plan``, computed as they are asked for; memory does not grow with the length."""
        return self._renderer.frames(plan, maps)

    def live(self, plan: Plan) -> Callable[[FaceCoeffs], UInt8[np.ndarray, "n s s 3"]]:
        """For motion that is not known yet: does what depends on photograph and background and returns what draws frames, RGB."""
        return self._renderer.live(plan)

    @property
    def workers(self) -> int:
        """Frames that are best drawn side by side."""
        return self._renderer.workers

    def animate(
        self,
        source: Photograph,
        audio: str | Path | None = None,
        video: str | Path | None = None,
        pose: str | Path | None = None,
        background: str | Path | None = None,
        blink: str | Path | None = None,
        mouth_amplitude: float | None = None,
        expression: str = "absolute",
        seed: int = 0,
        face: int | None = None,
        maps: Collection[int] = (),
        brows: str | Path | None = None,
        nods: bool = False,
        refine: int = 0,
        gaze: str | Path | None = None,
    ) -> Iterator[Frame]:
        """Frames of the talking portrait at 25 per second, computed as they are asked for; memory does not grow with the length.

        The input is read and checked before this returns; only rendering waits for the iteration.

        Args:
            source: photograph (path or uint8 RGB) or an already prepared ``Source``.
            audio: speech that drives the lips. Either this or ``video``.
            video: a talking person whose expression is transferred.
            pose: ``static``, ``idle`` or a video whose head motion is used; None is ``static`` with audio, the driver's own with video.
            background: None or ``source`` (the photograph's own), a colour, or a picture file.
            blink: ``natural``, ``model`` (the same times, lids by stage 4), ``none``, ``period``, a text file of times in seconds, or a
                video whose blinks are used; None is ``natural`` with audio, ``none`` with video (the driver blinks).
            mouth_amplitude: how far speech opens the mouth; None is what the weights were made with.
            expression: ``absolute`` copies the driver's face; ``relative`` adds its change from rest to the photograph's expression.
            seed: of blinks, gaze, idle motion, audio-to-motion noise and refinement.
            face: 0 for the largest face of the photograph, 1 for the next; None takes the largest and warns if there are several.
            maps: indices of frames that shall carry their intermediate pictures.
            brows: ``prosody`` raises them on accents of the voice; a video lends its own; None leaves them to the driver.
            nods: bow the head a little on accents of the voice, on top of the pose.
            refine: steps by which the planes first learn this photograph; 0: none. ``Portrait.refine`` does it once for many clips.
            gaze: ``natural`` looks aside now and then, ``still`` looks as the photograph does, a video lends its looks aside; None is
                ``natural`` with audio, the driver's with video. Weights without ``head_skip`` (the paper's) keep the eyes still in any
                case.

        Raises:
            PortraitError: unusable input, each kind with its own code.
            ValueError: arguments that contradict each other.
        """
        plan = self.plan(
            source, audio, video, pose, background, blink, mouth_amplitude, expression, seed, face, silently, brows, nods, refine,
            gaze,
        )  # fmt: skip
        return self.render(plan, maps)
