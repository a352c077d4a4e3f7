import logging

import numpy as np
import pytest
from core.errors import PortraitError
from core.perception.landmarks import choose_face, detect_faces, find_face, track_faces
from core.perception.window import cut_square

pytest.importorskip("mediapipe")
data = pytest.importorskip("skimage.data")
cv2 = pytest.importorskip("cv2")
EYES = (33, 263)


@pytest.fixture(scope="module")
def photo():
    return data.astronaut()


@pytest.fixture(scope="module")
def face(photo):
    return find_face(photo)


def pixels(face, image):
    return face.landmarks[:, :2] * image.shape[1::-1]


def test_astronaut(photo, face):
    """Against her eyes and chin, read off the photograph by hand."""
    points = pixels(face, photo)
    for index, place in {468: (203, 105), 473: (246, 107), 152: (221, 175)}.items():
        assert np.linalg.norm(points[index] - place) < 5, (index, points[index])
    assert len(detect_faces(photo)) == 1
    assert face.visible == 1
    assert abs(face.roll) < 5
    left, top, right, bottom = face.box
    np.testing.assert_allclose(points[:468].min(0), (left, top), atol=0.01)
    np.testing.assert_allclose(points[:468].max(0), (right, bottom), atol=0.01)
    assert face.area_fraction == pytest.approx((right - left) * (bottom - top) / 512**2)


def test_same_points_in_a_wide_large_picture(photo, face):
    """A small face off the middle of a large picture is measured as well as in the small one."""
    canvas = np.full((1400, 2400, 3), 120, np.uint8)
    canvas[700:1212, 1700:2212] = photo
    found = detect_faces(canvas)
    assert len(found) == 1
    moved = pixels(found[0], canvas) - (1700, 700)
    assert np.linalg.norm(moved - pixels(face, photo), axis=1).mean() < 1.0
    scaled = cv2.resize(photo, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    again = find_face(scaled)
    assert np.linalg.norm(again.landmarks[:, :2] - face.landmarks[:, :2], axis=1).mean() * 512 < 1.0


def test_depth_is_in_units_of_the_width(photo, face):
    wide = np.concatenate([photo, np.full_like(photo, 120)], 1)
    ratio = np.ptp(find_face(wide).landmarks[:468, 2]) / np.ptp(face.landmarks[:468, 2])
    assert ratio == pytest.approx(0.5, abs=0.05)


def test_several_faces_largest_first(photo, caplog):
    small = cv2.resize(photo, (320, 320), interpolation=cv2.INTER_AREA)
    canvas = np.full((512, 900, 3), 120, np.uint8)
    canvas[100:420, 20:340], canvas[:, 380:892] = small, photo
    faces = detect_faces(canvas)
    assert len(faces) == 2
    assert faces[0].area_fraction > faces[1].area_fraction
    assert faces[0].box[0] > 380 > faces[1].box[0]
    with caplog.at_level(logging.WARNING):
        assert choose_face(faces) is faces[0]
    assert "2 faces" in caplog.text
    assert choose_face(faces, 1) is faces[1]
    with pytest.raises(PortraitError, match="E_FACE_INDEX"):
        choose_face(faces, 2)


@pytest.mark.parametrize(
    "make", [data.chelsea, data.coffee, lambda: np.zeros((64, 64, 3), np.uint8), lambda: np.full((5, 900, 3), 9, np.uint8)]
)
def test_no_face(make):
    assert detect_faces(make()) == []
    with pytest.raises(PortraitError, match="E_NO_FACE"):
        find_face(make(), name="holiday.jpg")


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_turned_picture(photo, quarter):
    with pytest.raises(PortraitError, match="E_FACE_ROTATED"):
        find_face(np.rot90(photo[:220, 100:320], quarter))


def test_small_and_cut_faces(photo, face):
    tiny = np.full((200, 200, 3), 120, np.uint8)
    tiny[50:130, 50:130] = cv2.resize(photo[:256, 96:352], (80, 80), interpolation=cv2.INTER_AREA)
    with pytest.raises(PortraitError, match=r"E_FACE_SMALL|E_NO_FACE"):
        find_face(tiny[::2, ::2])
    with pytest.raises(PortraitError, match=r"E_FACE_CUT|E_NO_FACE"):
        find_face(np.ascontiguousarray(photo[:300, 225:]))


def test_nothing_is_printed(photo, capfd):
    detect_faces(photo)
    list(track_faces([photo] * 3))
    assert capfd.readouterr().err == ""


def shifted(photo, steps):
    return (cut_square(photo, 20 + dx, dy - 40, 400, 256) for dx, dy in steps)


def test_tracking_follows_the_motion(photo, face):
    steps = [(round(40 * np.sin(k / 4)), k) for k in range(24)]
    tracks = np.stack(list(track_faces(shifted(photo, steps))))
    assert tracks.shape == (24, 478, 3)
    assert np.isfinite(tracks).all()
    expected = np.stack([(pixels(face, photo) - (20 + dx, dy - 40)) / 400 for dx, dy in steps])
    assert np.linalg.norm(tracks[..., :2] - expected, axis=-1).mean() * 256 < 1.2


def test_tracking_loses_and_finds_again(photo):
    blank = np.full((256, 256, 3), 120, np.uint8)
    view = next(shifted(photo, [(0, 0)]))
    tracks = np.stack(list(track_faces(iter([view] * 6 + [blank] * 5 + [view] * 6))))
    seen = np.isfinite(tracks).all((1, 2))
    assert seen.tolist() == [True] * 6 + [False] * 5 + [True] * 6


def test_tracking_stays_with_one_face(photo):
    view = next(shifted(photo, [(0, 0)]))
    blank = np.full_like(view, 120)
    both, right = np.concatenate([view, view], 1), np.concatenate([blank, view], 1)
    tracks = np.stack(list(track_faces([both] * 5 + [right] * 5 + [both] * 5)))
    first = tracks[:5, :468, 0].mean() > 0.5
    for block in (tracks[:5], tracks[10:]):
        assert ((block[:, :468, 0].mean(1) > 0.5) == first).all()
    assert first or np.isnan(tracks[5:10]).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7])
def test_tracking_gives_one_array_a_frame_in_order(photo, count):
    assert len(list(track_faces(shifted(photo, [(0, 0)] * count)))) == count


def test_tracking_follows_a_creeping_face(photo):
    """A tenth of a pixel a frame is no standstill: after 40 frames the points are where the face is."""
    large = cv2.resize(photo[:256, 96:352], (512, 512), interpolation=cv2.INTER_CUBIC)
    shifts = [0.1 * t for t in range(40)]
    frames = [cv2.warpAffine(large, np.float32([[1, 0, x], [0, 1, 0]]), (512, 512), flags=cv2.INTER_CUBIC) for x in shifts]
    tracked = np.stack(list(track_faces(frames)))[:, :468, :2] * 512
    moved = (tracked - tracked[0]).mean(1)
    np.testing.assert_allclose(moved[:, 0], shifts, atol=0.5)
    assert np.abs(moved[:, 1]).max() < 0.5


@pytest.mark.parametrize("taken", [0, 4, 7])
def test_tracking_gives_the_memory_of_its_graph_back(taken, monkeypatch):
    """MediaPipe's graphs stay for ever otherwise, some 30 MB for every video."""
    from core.perception import tracking

    closed = []

    class Follower:
        def next_mesh(self, image):
            return None

        def reset(self):
            pass

        def close(self):
            closed.append(True)

    monkeypatch.setattr(tracking, "face_follower", Follower)
    monkeypatch.setattr(tracking, "detect_faces", lambda image, thorough: [])
    stream = tracking.track(np.zeros((8, 32, 32, 3), np.uint8))
    points = [next(stream) for _ in range(taken)]
    assert all(np.isnan(point).all() for point in points)
    stream.close()
    assert closed == [True] * (taken > 0)
