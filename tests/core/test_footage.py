"""Video of a made person as a clip: fitted labels against the known ones, and the same training pairs as from made clips."""

import numpy as np
import pytest
import torch
from core.data.__main__ import main
from core.data.clip_writer import write_store
from core.data.clips import ClipStore
from core.data.footage import VideoSource, find_videos
from core.data.talking import TalkingClips, collate_pairs
from core.errors import PortraitError

SIZE, FRAMES = 128, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight frames that pan over the astronaut's portrait."""
    from core.media.video_writer import VideoWriter
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("videos")
    with VideoWriter(folder / "pan.mp4", 320) as out:
        for k in range(FRAMES):
            out.write(np.ascontiguousarray(astronaut()[:320, 60 + 2 * k : 380 + 2 * k]))
    return folder


def test_no_videos_and_no_face_are_said(tmp_path):
    with pytest.raises(PortraitError, match="E_NO_VIDEOS"):
        find_videos(tmp_path)
    assert main(["prepare", str(tmp_path), "--out", str(tmp_path / "store")]) == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_panned_portrait_becomes_a_clip(folder, tmp_path):
    assert write_store(tmp_path, [VideoSource(folder / "pan.mp4", "pan", "train")], size=SIZE, progress=False) == 1
    store = ClipStore(tmp_path)
    order = store.order(0)
    assert order.time.tolist() == list(range(FRAMES))
    x = store.labels(0)["keypoints"][:, :, 0].mean(1)
    step = x.diff()
    assert (step < 0).all()  # the window moves right, so the face goes left
    scale = (store.labels(0)["keypoints"][0, 16, 0] - store.labels(0)["keypoints"][0, 0, 0]) / 2
    assert step.abs().mean() < 0.1 * scale
    batch = collate_pairs([TalkingClips(store, triples=True, photo_share=1.0)[k] for k in range(3)])
    assert torch.equal(batch.target.exp_before, batch.before.coeffs.exp)
    assert (batch.target.gaze, batch.target.depth) == (None, None)
    inside = batch.target.head_mask > 0.999
    assert (batch.target.image - batch.target.head).abs()[inside.expand_as(batch.target.head)].mean() < 0.05
    assert 0.1 < batch.target.head_mask.mean() < 0.7
