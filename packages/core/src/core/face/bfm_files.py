"""Reading the files of BFM 2009 and its companions so that a missing, wrong or truncated one is named, with its source and licence.

``.mat`` and ``.npy`` are read without pickles: no file can run code.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from core.errors import PortraitError

BASEL = (
    "Get the Basel Face Model 2009 with a registration at https://faces.dmi.unibas.ch/bfm/ "
    "(its licence: non-commercial research only, no passing on)"
)
GUO = "Get it through https://github.com/Juyong/3DFace (Guo et al. 2019; for research only, no commercial use)"
DEEP3D = "Get it from the BFM folder of https://github.com/microsoft/Deep3DFaceReconstruction (MIT; parts follow the licence of BFM)"
REAL3D = "Get it from deep_3drecon of https://github.com/yerfor/Real3DPortrait (MIT)"

SOURCES = {
    "BFM_model_front.mat": f"{BASEL} and convert it as https://github.com/sicxu/Deep3DFaceRecon_pytorch does, "
    "or put 01_MorphableModel.mat and its companions into the folder",
    "01_MorphableModel.mat": BASEL,
    "Exp_Pca.bin": GUO,
    "std_exp.txt": DEEP3D,
    "BFM_front_idx.mat": DEEP3D,
    "BFM_exp_idx.mat": DEEP3D,
    "facemodel_info.mat": DEEP3D,
}
"""Where each file comes from; what is not listed comes with the official code of Real3D-Portrait."""


def bad(path: Path, problem: str) -> PortraitError:
    """The error that names a file, what is wrong with it, where to get it and its licence."""
    return PortraitError("E_FACE_MODEL", f"{path} {problem}", f"{SOURCES.get(path.name, REAL3D)}. See docs/faces.md.")


def find(folder: Path, *names: str) -> Path:
    """The first of ``names`` in the folder or in the one above it, where the official code keeps some.

    Raises:
        PortraitError: ``E_FACE_MODEL`` when there is none.
    """
    for name in names:
        for place in (folder, folder.absolute().parent):
            if (place / name).is_file():
                return place / name
    raise bad(folder / names[0], "is missing")


def read_mat(path: Path, *keys: str) -> list[np.ndarray]:
    """Numeric arrays of a Matlab file (version 4 to 7.2), as they were stored.

    Raises:
        PortraitError: ``E_FACE_MODEL`` when it cannot be read, lacks a key or holds something else than finite numbers.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise bad(path, "is missing")
    try:
        content = loadmat(path, variable_names=keys)
    except Exception as error:  # what a damaged file makes the reader raise is of many kinds
        raise bad(path, f"is no Matlab file or was cut short ({type(error).__name__})") from error
    absent = [key for key in keys if key not in content]
    if absent:
        raise bad(path, f"lacks {', '.join(absent)}")
    for key in keys:
        if content[key].dtype.kind not in "iuf" or not np.isfinite(content[key]).all():
            raise bad(path, f"holds no finite numbers under {key}")
    return [content[key] for key in keys]


def read_numbers(path: Path) -> Int[np.ndarray, " n"]:
    """Whole numbers of a ``.npy`` file.

    Raises:
        PortraitError: ``E_FACE_MODEL``.
    """
    try:
        numbers = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise bad(path, "is no array of numbers or was cut short") from error
    if not isinstance(numbers, np.ndarray) or numbers.dtype.kind not in "iu":
        raise bad(path, "holds no whole numbers")
    return numbers.ravel().astype(np.int64)


def zero_based(path: Path, numbers: np.ndarray, count: int) -> Int[np.ndarray, " n"]:
    """Matlab's numbers 1..count as 0..count-1.

    Raises:
        PortraitError: ``E_FACE_MODEL`` when one lies outside.
    """
    numbers = numbers.ravel().astype(np.int64) - 1
    if not numbers.size or numbers.min() < 0 or numbers.max() >= count:
        raise bad(path, f"holds numbers outside 1..{count}: it belongs to other files")
    return numbers


def read_expressions(folder: Path, vertices: int) -> tuple[Float[np.ndarray, "n e"], Float[np.ndarray, " e"]]:
    """Axes of ``Exp_Pca.bin`` (int32 count, float32 mean, float32 axes one after the other; little-endian) and their deviations.

    Args:
        folder: holds ``Exp_Pca.bin`` and ``std_exp.txt``.
        vertices: of the mesh that the axes move.

    Raises:
        PortraitError: ``E_FACE_MODEL``.
    """
    path = find(folder, "Exp_Pca.bin")
    content = path.read_bytes()
    axes = int(np.frombuffer(content, "<i4", 1)[0]) if len(content) >= 4 else 0
    wanted = 4 + 4 * 3 * vertices * (1 + axes)
    if not 0 < axes < 1000 or len(content) != wanted:
        raise bad(path, f"has {len(content)} bytes instead of {wanted}: it was cut short or belongs to another mesh")
    basis = np.frombuffer(content, "<f4", offset=4 + 4 * 3 * vertices).reshape(axes, -1).T
    path = find(folder, "std_exp.txt")
    try:
        deviations = np.array(path.read_text().split(), np.float64)
    except (OSError, ValueError) as error:
        raise bad(path, "is no list of numbers") from error
    if len(deviations) != axes or not np.isfinite(deviations).all() or not np.isfinite(basis).all():
        raise bad(path, f"holds {len(deviations)} numbers for the {axes} axes of Exp_Pca.bin, or one is not finite")
    return basis, deviations
