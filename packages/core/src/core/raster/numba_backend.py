"""Z-buffer on the CPU, compiled by numba: exact, deterministic, without the interpreter lock.

Homogeneous rasterisation (Olano and Greer, "Triangle scan conversion using 2D homogeneous coordinates", 1997): with the vertices (x, y, w)
as the columns of M, a pixel direction (px, py, 1) lies in the triangle iff all entries of ``M^-1 (px, py, 1)`` are >= 0. No clipping is
needed, not even for triangles that reach behind the camera. Two triangles that share an edge evaluate it to exactly opposite numbers
(float64) and a pixel centre on the edge counts as shifted by an infinitesimal (e, e^2): every pixel of a closed surface has one triangle.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_SLACK = 1e-3
"""Pixels by which bounding boxes are widened: far more than their rounding error, and small triangles still miss most centres."""


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use; keep the machine code on disk where there is a writable place for it."""
    plain = inspect.unwrap(function)  # run-time type checkers wrap what they check; numba needs what was written
    try:
        return numba.njit(cache=True, nogil=True)(plain)
    except RuntimeError:  # numba found neither the package folder nor the user's cache folder writable
        return numba.njit(nogil=True)(plain)


@_compiled
def _range(a: float, b: float, c: float, size: int) -> tuple[int, int]:
    """First and one-past-last pixel whose centre may lie between the least and greatest of three image coordinates (pixel centres)."""
    low, high = min(a, b, c) - _SLACK, max(a, b, c) + _SLACK
    if not (low <= size - 1.0 and high >= 0.0):  # beside the image, or not a number
        return 0, 0
    return math.ceil(max(0.0, low)), int(min(size - 1.0, high)) + 1


@_compiled
def _image_coordinates(vertices: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Column (axis 0) or row (axis 1) where each vertex is seen, in pixels from the first centre; 0 for those behind the camera."""
    seen = np.zeros(len(vertices))
    for v in range(len(vertices)):
        if vertices[v, 3] > 0.0:
            seen[v] = ((vertices[v, axis] / vertices[v, 3] + 1.0) * size - 1.0) * 0.5
    return seen


@_compiled
def _inside(edge: float, a: float, b: float) -> bool:
    """Is the pixel centre, shifted by (e, e^2), on the inner side of the edge ``a x + b y + c``?"""
    return edge > 0.0 or (edge == 0.0 and (a > 0.0 or (a == 0.0 and b > 0.0)))


@_compiled
def _fill(clip: np.ndarray, triangles: np.ndarray, out: np.ndarray, depth: np.ndarray) -> None:
    """Draw all triangles of one mesh; ``depth`` (h, w) float64 starts at infinity, ``out`` (h, w, 4) float32 at zero."""
    height, width = depth.shape
    vertices = clip.astype(np.float64)
    columns, rows = _image_coordinates(vertices, 0, width), _image_coordinates(vertices, 1, height)
    centres = (2.0 * np.arange(width) + 1.0) / width - 1.0
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        left, right, top, bottom = 0, width, 0, height
        if vertices[i, 3] > 0.0 and vertices[j, 3] > 0.0 and vertices[k, 3] > 0.0:
            left, right = _range(columns[i], columns[j], columns[k], width)
            top, bottom = _range(rows[i], rows[j], rows[k], height)
            if left >= right or top >= bottom:
                continue
        x0, y0, z0, w0 = vertices[i, 0], vertices[i, 1], vertices[i, 2], vertices[i, 3]
        x1, y1, z1, w1 = vertices[j, 0], vertices[j, 1], vertices[j, 2], vertices[j, 3]
        x2, y2, z2, w2 = vertices[k, 0], vertices[k, 1], vertices[k, 2], vertices[k, 3]
        a0, b0, c0 = y1 * w2 - y2 * w1, x2 * w1 - x1 * w2, x1 * y2 - x2 * y1
        a1, b1, c1 = y2 * w0 - y0 * w2, x0 * w2 - x2 * w0, x2 * y0 - x0 * y2
        a2, b2, c2 = y0 * w1 - y1 * w0, x1 * w0 - x0 * w1, x0 * y1 - x1 * y0
        det = x0 * a0 + y0 * b0 + w0 * c0
        if not abs(det) > 0.0:  # degenerate, or not a number
            continue
        if det < 0.0:
            a0, b0, c0, a1, b1, c1, a2, b2, c2, det = -a0, -b0, -c0, -a1, -b1, -c1, -a2, -b2, -c2, -det
        for row in range(top, bottom):
            y = (2 * row + 1) / height - 1.0
            r0, r1, r2 = b0 * y + c0, b1 * y + c1, b2 * y + c2
            for column in range(left, right):
                x = centres[column]
                e0, e1, e2 = a0 * x + r0, a1 * x + r1, a2 * x + r2
                if _inside(e0, a0, b0) and _inside(e1, a1, b1) and _inside(e2, a2, b2):
                    z = (e0 * z0 + e1 * z1 + e2 * z2) / det
                    total = e0 + e1 + e2
                    if abs(z) <= 1.0 and z < depth[row, column] and total > 0.0:
                        depth[row, column] = z
                        out[row, column, 0] = e0 / total
                        out[row, column, 1] = e1 / total
                        out[row, column, 2] = z
                        out[row, column, 3] = t + 1


@_compiled
def _blend(attributes: np.ndarray, fragments: np.ndarray, triangles: np.ndarray, out: np.ndarray) -> None:
    """Blend the attributes (v, c) of one mesh into ``out`` (n, c), which starts at zero; ``fragments`` (n, 4) are pixels."""
    for n in range(fragments.shape[0]):
        t = int(fragments[n, 3]) - 1
        if t >= 0:
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            b0, b1 = fragments[n, 0], fragments[n, 1]
            b2 = np.float32(1.0) - b0 - b1
            for c in range(out.shape[1]):
                out[n, c] = b0 * attributes[i, c] + b1 * attributes[j, c] + b2 * attributes[k, c]


def interpolate_arrays(
    attributes: Float[np.ndarray, "v c"], fragments: Float[np.ndarray, "h w 4"], triangles: Int[np.ndarray, "f 3"]
) -> Float[np.ndarray, "h w c"]:
    """``core.raster.interpolate`` of one mesh on numpy arrays; releases the interpreter lock."""
    out = np.zeros((*fragments.shape[:2], attributes.shape[1]), np.float32)
    pixels = np.ascontiguousarray(fragments, np.float32).reshape(-1, 4)
    _blend(np.ascontiguousarray(attributes, np.float32), pixels, np.ascontiguousarray(triangles, np.int64), out.reshape(len(pixels), -1))
    return out


def rasterize_arrays(
    clip: Float[np.ndarray, "v 4"], triangles: Int[np.ndarray, "f 3"], height: int, width: int
) -> Float[np.ndarray, "h w 4"]:
    """``core.raster.rasterize`` of one mesh on numpy arrays; releases the interpreter lock."""
    out = np.zeros((height, width, 4), np.float32)
    depth = np.full((height, width), np.inf)
    _fill(np.ascontiguousarray(clip, np.float32), np.ascontiguousarray(triangles, np.int64), out, depth)
    return out


def _each_into(out: np.ndarray, meshes: np.ndarray, faces: np.ndarray) -> None:
    """Draw the meshes (b, v, 4) into the zeros of ``out`` (b, h, w, 4), with one z-buffer for all."""
    depth = np.empty(out.shape[1:3])
    for mesh, image in zip(meshes, out, strict=True):
        depth.fill(np.inf)
        _fill(mesh, faces, image, depth)


def rasterize(clip: Float[Tensor, "b v 4"], triangles: Int[Tensor, "f 3"], size: tuple[int, int]) -> Float[Tensor, "b h w 4"]:
    """See ``core.raster.rasterize``; tensors of other devices travel through the host."""
    out = torch.zeros(len(clip), *size, 4)
    meshes = clip.detach().float().cpu().contiguous().numpy()
    _each_into(out.numpy(), meshes, triangles.detach().long().cpu().contiguous().numpy())
    return out.to(clip.device)


def interpolate(
    attributes: Float[Tensor, "b v c"], fragments: Float[Tensor, "b h w 4"], triangles: Int[Tensor, "f 3"]
) -> Float[Tensor, "b h w c"]:
    """See ``core.raster.interpolate``; host tensors, no gradients."""
    faces = triangles.cpu().numpy()
    meshes = zip(attributes.float().numpy(), fragments.numpy(), strict=True)
    return torch.from_numpy(np.stack([interpolate_arrays(values, pixels, faces) for values, pixels in meshes]))
