"""Made people: the compiled renderer against a plain one, built on the general rasteriser, scipy and OpenCV."""

from functools import lru_cache

import cv2
import numpy as np
import pytest
from core.people.geometry import LAYER_BACK, HeadMesh, Pose, project, to_clip
from core.people.motion import named, turn_about_neck
from core.people.person import Person, render
from core.people.procedural import make_person
from core.raster.numba_backend import interpolate_arrays, rasterize_arrays
from scipy.ndimage import map_coordinates

SIZE, STEP = 96, 2


@lru_cache(maxsize=1)
def person() -> Person:
    return make_person(3, SIZE)


def plain_samples(who: Person, mesh: HeadMesh, exp: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGBA of every sample, 1 / distance (0 where nothing is) and segmentation."""
    posed = pose.apply(mesh.moved(who.motion(exp)))
    (ax, ay), (bx, by), (cx, cy) = project(posed)[mesh.triangles].transpose(1, 2, 0)
    inside_out = ((bx - ax) * (cy - ay) - (cx - ax) * (by - ay) > 0) & (mesh.layer == LAYER_BACK)  # seen from outside only
    mesh = mesh.wearing(mesh.triangles[~inside_out], mesh.layer[~inside_out])
    fragments = rasterize_arrays(to_clip(posed), mesh.triangles, SIZE * STEP, SIZE * STEP)
    uvw = interpolate_arrays(mesh.uvw, fragments, mesh.triangles)
    near = interpolate_arrays(np.stack([10 - posed[:, 2]], 1), fragments, mesh.triangles)[..., 0]
    seen = fragments[..., 3] > 0
    layer = np.where(seen, mesh.layer[fragments[..., 3].astype(int) - 1], 0)
    side = who.textures.shape[1]
    x, y = np.moveaxis(uvw[..., :2] / np.where(seen, uvw[..., 2], 1)[..., None], -1, 0) * side - 0.5
    rgba = np.zeros((*seen.shape, 4))
    for n in np.unique(layer):
        looks = [map_coordinates(who.textures[n, ..., q].astype(np.float32), (y, x), order=1, mode="nearest") for q in range(4)]
        rgba = np.where((seen & (layer == n))[..., None], np.stack(looks, -1), rgba)
    kind = who.classes[layer, np.clip(np.rint(y), 0, side - 1).astype(int), np.clip(np.rint(x), 0, side - 1).astype(int)]
    return rgba, np.where(seen, 1 / np.where(seen, near, 1), 0), kind


def pixels(samples: np.ndarray) -> np.ndarray:
    return samples.reshape(SIZE, STEP, SIZE, STEP, -1).mean((1, 3))


def plain(who: Person, exp: np.ndarray, euler: np.ndarray, trans: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, head alpha, visible torso alpha."""
    pose = Pose.from_euler(euler, trans)
    body, near, _ = plain_samples(who, who.solid, exp, pose)
    soft, before, _ = plain_samples(who, who.fringe, exp, pose)
    front = soft[..., 3:] / 255 * (before > near)[..., None]
    solid = (near > 0)[..., None] * (1 - front)
    alpha = pixels(front + solid)
    colour = pixels(soft[..., :3] * front + body[..., :3] * solid)
    start, end = (project(p.apply(who.torso.pivot[None]))[0] * SIZE - 0.5 for p in (who.source_pose, pose))
    zoom = (10 - who.source_pose.apply(who.torso.pivot[None])[0, 2]) / (10 - pose.apply(who.torso.pivot[None])[0, 2])
    matrix = np.array([[zoom, 0, end[0] - zoom * start[0]], [0, zoom, end[1] - zoom * start[1]]])
    layer = np.concatenate([who.torso.image, np.full_like(who.torso.image[..., :1], 255)], 2) * who.torso.alpha[..., None]
    worn = cv2.warpAffine(layer, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    torso = worn[..., 3:] / 255 * (1 - alpha)
    return colour + worn[..., :3] * (1 - alpha) + who.background * (1 - alpha - torso), alpha[..., 0], torso[..., 0]


@pytest.mark.parametrize(("kind", "yaw"), [("neutral", 0.0), ("open", 0.5), ("smile", -0.6)])
def test_compiled_picture_equals_the_plain_one(kind: str, yaw: float):
    who = person()
    exp, euler = named(who, kind), np.float32([0.1, yaw, 0.05])
    trans = turn_about_neck(who.coeffs, euler)
    frame = render(who, exp, euler, trans, SIZE, STEP)
    image, alpha, torso = plain(who, exp, euler, trans)
    difference = np.abs(frame.image - image).max(-1)
    assert difference.mean() < 0.8  # pixels that show one smooth piece look up its middle, not the mean of their samples
    assert (difference > 12).mean() < 0.01
    assert np.abs(frame.head_alpha - alpha).mean() < 4e-3  # fringe and wall start from one line, where rounding decides which is in front
    assert np.abs(frame.torso_alpha - torso).mean() < 4e-3


def test_one_sample_per_pixel_is_exact():
    """Without supersampling every pixel shows one sample, so labels and distances must be those of the general rasteriser."""
    who = person()
    exp, euler = named(who, "neutral"), np.float32([0.0, 0.4, 0.0])
    trans = turn_about_neck(who.coeffs, euler)
    frame = render(who, exp, euler, trans, SIZE * STEP, 1)
    _, near, kind = plain_samples(who, who.solid, exp, Pose.from_euler(euler, trans))
    solid = (near > 0) & (frame.head_alpha > 0.999)
    assert solid.mean() > 0.2
    off = np.abs(frame.depth - 1 / np.where(solid, near, 1))[solid]
    assert (off > 1e-3).mean() < 0.03  # the soft fringe hides a few opaque samples
    assert (frame.labels != kind)[solid].mean() < 0.03
