"""Pairing, confidence intervals, tables and pages of evaluations, without any video."""

import csv
import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.metrics.fid import fid
from portrait.evaluate.page import write_page
from portrait.evaluate.pairing import PROTOCOLS, audio_driven, build_pairs, cross_identity, find_files, same_identity
from portrait.evaluate.results import DRIVER, Cell, ClipResult, SystemFolder, interval, summarise
from portrait.evaluate.scoring import Score
from portrait.evaluate.systems import _similarity
from portrait.evaluate.tables import best, latex, shown_columns, write_csv, write_table_json

VIDEOS = [Path(f"v{i:02}.mp4") for i in range(40)]


def test_same_identity_drives_its_own_first_frame():
    pairs = same_identity(VIDEOS[:3])
    assert [(p.name, p.source, p.video) for p in pairs] == [(v.stem, v, v) for v in VIDEOS[:3]]
    assert all(p.same for p in pairs)


def test_same_identity_takes_photographs_and_masks_that_are_called_as_the_videos():
    first, second = same_identity(VIDEOS[:2], [Path("p/v01.jpg"), Path("p/other.jpg")], [Path("m/v00.png")])
    assert (first.source, first.mask, second.source, second.mask) == (VIDEOS[0], Path("m/v00.png"), Path("p/v01.jpg"), None)
    assert first.same
    assert second.same


def test_cross_identity_never_pairs_a_clip_with_itself_and_repeats():
    pairs = cross_identity(VIDEOS, seed=3)
    assert [p.source for p in pairs] == VIDEOS
    assert all(p.source != p.video and not p.same for p in pairs)
    assert pairs == cross_identity(VIDEOS, seed=3)
    assert pairs != cross_identity(VIDEOS, seed=4)
    assert len({p.name for p in pairs}) == 40
    assert max(Counter(p.video for p in pairs).values()) < 8  # drawn evenly
    with pytest.raises(PortraitError, match="E_DATA"):
        cross_identity(VIDEOS[:1])


def test_audio_driven_takes_head_motion_from_the_nearest_first_poses():
    poses = {video: (0.0, 0.1 * i, 0.0) for i, video in enumerate(VIDEOS)} | {Path("me.jpg"): (0.0, 1.02, 0.0), Path("you.jpg"): None}
    sounds = [Path(f"s{i}.wav") for i in range(30)]
    pairs = audio_driven([Path("me.jpg"), Path("you.jpg")], sounds, VIDEOS, poses.get, seed=0)
    assert len(pairs) == 60
    assert {p.pose for p in pairs[:30]} == set(VIDEOS[9:13])  # the nearest tenth
    assert pairs[0].name == "me--s0"
    assert pairs[0].audio == sounds[0] == pairs[0].sounding
    assert all(p.pose is None for p in audio_driven([Path("me.jpg")], sounds, [], poses.get))


def test_data_folders(tmp_path):
    def unknown(path):
        return None

    for protocol in PROTOCOLS:
        with pytest.raises(PortraitError, match="E_DATA"):
            build_pairs(protocol, tmp_path / "nowhere", unknown)
        with pytest.raises(PortraitError, match="E_DATA"):
            build_pairs(protocol, tmp_path, unknown)
    for name in ("videos/b.mp4", "videos/a.MOV", "videos/notes.txt", "portraits/p.jpg", "audio/s.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in build_pairs("same-identity", tmp_path, unknown)] == ["a", "b"]
    assert [p.name for p in build_pairs("same-identity", tmp_path / "videos", unknown)] == ["a", "b"]
    assert [p.name for p in build_pairs("cross-identity", tmp_path, unknown)] == ["a--b", "b--a"]
    assert [p.name for p in build_pairs("audio-driven", tmp_path, unknown)] == ["p--s"]
    for name in ("photos/a.jpg", "masks/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    photographed, masked = build_pairs("same-identity", tmp_path, unknown)
    assert (photographed.source, masked.mask) == (tmp_path / "photos/a.jpg", tmp_path / "masks/b.png")
    (tmp_path / "videos/a.mp4").touch()
    with pytest.raises(PortraitError, match="called 'a'"):
        find_files(tmp_path, "videos", (".mp4", ".mov"))


def test_bootstrap_interval_of_normal_numbers():
    values = list(np.random.default_rng(0).normal(5, 2, 400))
    low, high = interval(values)
    half = 1.96 * np.std(values) / 20
    assert (low, high) == (pytest.approx(np.mean(values) - half, abs=0.02), pytest.approx(np.mean(values) + half, abs=0.02))
    assert interval([1.0]) is None
    assert interval([2.0, 2.0]) == (2.0, 2.0)


def test_similarity_is_recovered():
    start = np.random.default_rng(0).normal(size=(8, 2))
    turn, shift = 0.8 + 0.3j, 2 - 1j
    end = turn * (start @ np.array([1, 1j])) + shift
    found = _similarity(start, np.column_stack([end.real, end.imag]))
    np.testing.assert_allclose(found, (turn, shift))


@pytest.fixture
def folder(tmp_path):
    """Two finished clips with features, and a failed one."""
    folder = SystemFolder(tmp_path / "systems" / "our_net")
    generator = torch.Generator().manual_seed(0)
    for k, name in enumerate(("one", "two")):
        features = torch.randn(2, 6, 4, generator=generator)
        score = Score({"psnr": 20.0 + k, "csim": 0.5}, {"flicker": 3.0}, 10, features[0], features[1])
        folder.save(ClipResult(name, {"video": "x"}, score.values, score.driver, 10), score)
    folder.save(ClipResult("three", {}, error="E_NO_FACE: <none> in it. Mend it"))
    return folder


def test_results_come_back_and_are_averaged_over_clips(folder):
    results = [folder.load(name) for name in ("one", "two")]
    assert results[0].values == {"psnr": 20.0, "csim": 0.5}
    assert folder.load("four") is None
    row, driver = summarise(results, folder, "same-identity")
    assert row["psnr"].mean == 20.5
    assert (row["psnr"].low, row["psnr"].high, row["psnr"].clips) == (20.0, 21.0, 2)
    assert driver["flicker"] == Cell(3.0, 3.0, 3.0, 2)
    fake, real = folder.features(["one", "two"])
    assert row["fid"].mean == pytest.approx(float(fid(torch.cat(fake).float(), torch.cat(real).float())))
    assert row["fid"].low is None
    assert "psnr" not in summarise(results, folder, "cross-identity")[0]


def test_a_folder_belongs_to_one_system(folder):
    folder.claim("weights a")
    folder.claim("weights a")
    with pytest.raises(PortraitError, match="E_REPORT"):
        folder.claim("weights b")


TABLE = {
    "our_net": {"psnr": Cell(20.5, 20.0, 21.0, 2), "lpips": Cell(0.3, None, None, 1), "flicker": Cell(2.0, 2.0, 2.0, 2)},
    "still": {"psnr": Cell(18.0, 17.0, 19.0, 2), "lpips": Cell(0.2, None, None, 1)},
    DRIVER: {"flicker": Cell(3.0, 3.0, 3.0, 2)},
}


def test_best_follows_the_direction_and_leaves_drivers_out():
    shown = shown_columns("same-identity", TABLE)
    assert list(shown) == ["psnr", "lpips", "flicker"]
    assert best("psnr", shown["psnr"], TABLE) == {"our_net"}
    assert best("lpips", shown["lpips"], TABLE) == {"still"}
    assert best("flicker", shown["flicker"], TABLE) == set()


def test_latex_has_one_cell_per_column():
    text = latex("same-identity", TABLE)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert all(row.count("&") == 3 for row in rows)
    assert r"our\_net & \textbf{20.50} & 0.300 & 2.00 \\" in rows
    assert r"{\tiny [20.00, 21.00]}" in text
    assert text.count(r"\begin") == text.count(r"\end") == 1


def test_csv_and_json(folder, tmp_path):
    results = [folder.load(name) for name in ("one", "two", "three")]
    write_csv(tmp_path / "r.csv", "same-identity", {"our_net": results})
    rows = list(csv.DictReader((tmp_path / "r.csv").open()))
    assert [(r["clip"], r["psnr"], r["l1"]) for r in rows] == [("one", "20", ""), ("two", "21", ""), ("three", "", "")]
    assert rows[2]["error"].startswith("E_NO_FACE")
    write_table_json(tmp_path / "r.json", "same-identity", TABLE, ("FID left out",))
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["systems"]["still"]["psnr"] == {"mean": 18.0, "low": 17.0, "high": 19.0, "clips": 2}
    assert data["left_out"] == ["FID left out"]


class _Checker(HTMLParser):
    """Sees that tags are closed in order, and collects text and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.links = [], "", []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta",):
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "poster")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_is_well_formed_and_escapes(folder, tmp_path):
    (folder.folder / "side").mkdir()
    (folder.folder / "side" / "one.mp4").touch()
    results = [folder.load(name) for name in ("one", "two", "three")]
    write_page(tmp_path / "index.html", "same-identity", {"data": "a<b>"}, TABLE, {"our_net": results}, ("FID left out: no file",))
    page = _Checker()
    page.feed((tmp_path / "index.html").read_text())
    assert page.open == []
    assert "a<b>" in page.text
    assert "<none>" in page.text
    assert "FID left out: no file" in page.text
    assert page.links == ["systems/our_net/side/one.jpg", "systems/our_net/side/one.mp4"]
