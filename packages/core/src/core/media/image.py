"""Photographs of every common kind to upright 8-bit sRGB arrays, and back."""

import io
import logging
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from core.errors import PortraitError
from core.media.files import atomic_path, check_input

log = logging.getLogger(__name__)

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM", "JPEG2000")
MAX_PIXELS = 64_000_000
"""To be decoded; JPEG is decoded at a fraction of its size, so that of photographs only the largest other kinds are refused."""
BACKDROP = (200, 200, 200)
"""Colour behind transparent pixels: light grey, against which dark and fair hair both stand out."""


def read_image(path: str | Path, max_side: int = 3000) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photograph: turned upright by EXIF, transparency over light grey, colour profile to sRGB, first frame of animations.

    Args:
        path: JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, PNM or JPEG 2000, whatever its name ends with; any bit depth and colour mode.
        max_side: larger pictures are shrunk to this length of the longer side (pixels).

    Raises:
        PortraitError: ``E_NOT_FOUND``, ``E_IMAGE_EMPTY`` (zero bytes, or nothing visible), ``E_IMAGE_READ`` (not a picture, or damaged) or
            ``E_IMAGE_TOO_LARGE`` (more pixels than ``MAX_PIXELS`` have to be decoded).
    """
    file = check_input(path, "IMAGE")
    remedy = "Save it again as a complete JPEG or PNG."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # an open file and no name, because Pillow forgets to turn TIFFs that it maps into memory by their name
            with file.open("rb") as handle, Image.open(handle, formats=_supported()) as image:
                return _decode(image, str(path), max_side)
    except Image.DecompressionBombError as error:
        raise _too_large(str(path), "unreasonably many") from error
    except UnidentifiedImageError as error:
        raise PortraitError("E_IMAGE_READ", f"{str(path)!r} is not a picture of a known format", remedy) from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise PortraitError("E_IMAGE_READ", f"{str(path)!r} is damaged or incomplete ({error})", remedy) from error


def write_image(path: str | Path, image: UInt8[np.ndarray, "h w c"]) -> None:
    """Write RGB or RGBA pixels as PNG, JPEG (quality 95) or WebP, by the ending of ``path``; the file appears only when complete.

    Raises:
        PortraitError: ``E_WRITE`` when it cannot be written, ``E_FORMAT`` for another ending.
    """
    if Path(path).suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise PortraitError("E_FORMAT", f"cannot write a picture named {str(path)!r}", "End the name with .png, .jpg or .webp.")
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=95)


def _supported() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _too_large(name: str, pixels: str) -> PortraitError:
    return PortraitError("E_IMAGE_TOO_LARGE", f"{name!r} has {pixels} pixels", f"Shrink it below {MAX_PIXELS // 1_000_000} megapixels.")


def _decode(image: Image.Image, name: str, max_side: int) -> UInt8[np.ndarray, "h w 3"]:
    if getattr(image, "n_frames", 1) > 1 and image.format in ("GIF", "WEBP", "PNG", "AVIF"):
        log.warning("%s is animated; only its first frame is used.", name)
    image.draft(None, (max_side, max_side))  # lets JPEG decode at a fraction of its size
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name, f"{image.width} x {image.height}")
    image.load()
    profile = image.info.get("icc_profile")
    picture = ImageOps.exif_transpose(_eight_bit(_shrunk(image, max_side)))
    if max(picture.size) > max_side:
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if picture.mode == "RGBA":
        if picture.getchannel("A").getextrema()[1] == 0:
            raise PortraitError("E_IMAGE_EMPTY", f"{name!r} is fully transparent", "Give a picture in which the person can be seen.")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (*BACKDROP, 255)), picture)
        profile = None  # the backdrop is sRGB already, and cut-outs rarely carry another space
    return np.array(_to_srgb(picture, profile, name))


def _shrunk(image: Image.Image, max_side: int) -> Image.Image:
    """Large pictures by a whole factor, before anything makes copies of them; palettes cannot be averaged."""
    factor = max(image.size) // max_side
    if factor < 2 or image.mode in ("1", "P", "PA"):
        return image
    smaller = _averaged(image, factor) if image.mode.startswith("I;16") else image.reduce(factor)
    smaller.info, smaller._exif = image.info, image.getexif()  # reduce forgets how the camera was held
    return smaller


def _averaged(image: Image.Image, factor: int) -> Image.Image:
    """``Image.reduce``, which Pillow does not have for 16-bit grey; an incomplete last row or column is dropped."""
    height, width = image.height // factor, image.width // factor
    blocks = np.asarray(image)[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return Image.fromarray(np.rint(blocks.mean((1, 3))).astype(np.uint16))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Any mode to RGB, CMYK or RGBA with 8 bits a channel; keeps the EXIF orientation."""
    if image.mode in ("RGB", "CMYK"):
        return image
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        top = _full_scale(image.mode, float(values.max(initial=0.0)))
        grey = Image.fromarray(np.clip(values * (255.0 / top) + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
        grey.info, grey._exif = image.info, image.getexif()  # fromarray forgets how the camera was held
        return grey
    transparent = image.mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _full_scale(mode: str, peak: float) -> float:
    if mode == "F" and peak <= 1.0:
        return 1.0
    return 255.0 if peak <= 255.0 and not mode.startswith("I;16") else max(65535.0, peak)


def _to_srgb(picture: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return converted if converted is not None else picture
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            log.warning("The colour profile of %s is ignored (%s).", name, error)
    return picture.convert("RGB")
