"""Speech and motion on disk: safetensors shards with one index; the same format for made speech and for real corpora.

``corpus.json`` says what the features are, which face model the codes belong to and which clip lies where; a shard holds
``NAME/audio`` (2t c, float16), ``NAME/pitch`` (2t, uint8), ``NAME/exp`` (t 64, float16), ``NAME/blink`` (t, uint8) and, where the corpus
knows what is said, ``NAME/viseme`` (t, uint8).
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from core.errors import PortraitError
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

INDEX = "corpus.json"


@dataclass(frozen=True)
class MotionClip:
    """One utterance with the motion of the face that says it; audio at 50 Hz (u = 2 t), motion at 25 fps.

    Attributes:
        audio: features, `audio2motion.features`.
        pitch: coarse pitch 1..255.
        exp: expression codes.
        blink: 1 on the centre frame of each blink.
        mouth_amplitude: `audio2motion.mouth.mouth_amplitude` of the clip.
        viseme: class of the sound that is said, `audio2motion.viseme_classes`; None where nobody knows.
    """

    audio: Float[Tensor, "u c"]
    pitch: Int[Tensor, "u"]
    exp: Float[Tensor, "t 64"]
    blink: Int[Tensor, "t"]
    mouth_amplitude: float
    viseme: Int[Tensor, "t"] | None = None

    def crop(self, start: int, frames: int) -> "MotionClip":
        """``frames`` motion frames from ``start``; the amplitude stays the whole clip's."""
        wide, narrow = slice(2 * start, 2 * (start + frames)), slice(start, start + frames)
        viseme = None if self.viseme is None else self.viseme[narrow]
        return MotionClip(self.audio[wide], self.pitch[wide], self.exp[narrow], self.blink[narrow], self.mouth_amplitude, viseme)


@dataclass(frozen=True)
class Entry:
    """Where a clip lies."""

    name: str
    shard: str
    frames: int
    split: str
    mouth_amplitude: float


@dataclass(frozen=True)
class CorpusInfo:
    """What all clips of a corpus share.

    Attributes:
        audio: kind of the features.
        audio_width: their channels.
        face_model: fingerprint of the face model that the codes belong to.
        recipe: how it was made, so that another recipe is never mistaken for it.
        visemes: whether the clips tell what is said.
    """

    audio: str
    audio_width: int
    face_model: str
    recipe: str
    visemes: bool = False


def write_corpus(folder: Path, info: CorpusInfo, clips: Iterable[tuple[str, str, MotionClip]], per_shard: int = 256) -> None:
    """Write ``(name, split, clip)`` triples; the index comes last, so a broken run leaves no readable half."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    entries: list[Entry] = []
    tensors: dict[str, Tensor] = {}
    shards = 0

    def flush() -> None:
        nonlocal tensors, shards
        save_file(tensors, folder / f"shard_{shards:05d}.safetensors")
        tensors, shards = {}, shards + 1

    for count, (name, split, clip) in enumerate(clips, 1):
        entries.append(Entry(name, f"shard_{shards:05d}.safetensors", clip.exp.shape[0], split, clip.mouth_amplitude))
        tensors |= {
            f"{name}/audio": clip.audio.half(), f"{name}/pitch": clip.pitch.to(torch.uint8),
            f"{name}/exp": clip.exp.half(), f"{name}/blink": clip.blink.to(torch.uint8),
        }  # fmt: skip
        if info.visemes:
            tensors[f"{name}/viseme"] = clip.viseme.to(torch.uint8)
        if count % per_shard == 0:
            flush()
    if tensors:
        flush()
    fresh = folder / f"{INDEX}.new"
    fresh.write_text(json.dumps({**asdict(info), "clips": [asdict(entry) for entry in entries]}))
    fresh.replace(folder / INDEX)


def corpus_folders(root: Path) -> list[Path]:
    """``root`` itself when it holds a corpus, else the folders in it that do: parts that were prepared side by side.

    Raises:
        PortraitError: ``E_DATA`` when there is none.
    """
    found = [root] if (root / INDEX).is_file() else sorted(path.parent for path in root.glob(f"*/{INDEX}"))
    if not found:
        raise PortraitError("E_DATA", f"no {INDEX} in {root}", "Make a corpus (python -m audio2motion.prepare), or set data.made_clips.")
    return found


def read_info(folder: Path) -> CorpusInfo:
    """What the corpus in ``folder`` holds; the recipe is that of its first part.

    Raises:
        PortraitError: ``E_DATA`` when there is no corpus, it cannot be read, or its parts do not belong together.
    """
    parts = corpus_folders(folder)
    infos = [CorpusInfo(*(_index(part)[field.name] for field in fields(CorpusInfo))) for part in parts]
    for part, info in zip(parts, infos, strict=True):
        if replace(info, recipe="") != replace(infos[0], recipe=""):
            message = f"{part} and {parts[0]} differ in features or face model"
            raise PortraitError("E_DATA", message, "Prepare all parts with the same options.")
    return infos[0]


def _index(folder: Path) -> dict:
    try:
        content = json.loads((folder / INDEX).read_text())
        known = {name: content[name] for name in ("audio", "audio_width", "face_model", "recipe", "clips")}
        return {**known, "visemes": bool(content.get("visemes", False))}
    except (ValueError, KeyError, TypeError) as error:
        raise PortraitError("E_DATA", f"{folder / INDEX} is damaged ({type(error).__name__}: {error})", "Make the corpus again.") from error


class CorpusDataset(Dataset[MotionClip]):
    """Clips of one split; files are opened on first use in each process.

    Args:
        folder: of the corpus or of its parts.
        split: ``train`` or ``val``.
    """

    def __init__(self, folder: str | Path, split: str) -> None:
        self.folder = Path(folder)
        self.info = read_info(self.folder)
        clips = [(part, clip) for part in corpus_folders(self.folder) for clip in _index(part)["clips"] if clip["split"] == split]
        self.entries = [Entry(**{**clip, "shard": str((part / clip["shard"]).relative_to(self.folder))}) for part, clip in clips]
        self._open: dict[str, safe_open] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def __getstate__(self) -> dict:
        """Without the open files: worker processes open their own."""
        return {**self.__dict__, "_open": {}}

    def __getitem__(self, index: int) -> MotionClip:
        """The clip, in float32 and int64."""
        entry = self.entries[index]
        if entry.shard not in self._open:
            self._open[entry.shard] = safe_open(self.folder / entry.shard, "pt")
        read = self._open[entry.shard].get_tensor
        audio, pitch, exp, blink = (read(f"{entry.name}/{key}") for key in ("audio", "pitch", "exp", "blink"))
        viseme = read(f"{entry.name}/viseme").long() if self.info.visemes else None
        return MotionClip(audio.float(), pitch.long(), exp.float(), blink.long(), entry.mouth_amplitude, viseme)
