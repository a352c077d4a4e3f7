import os

import pytest
from core.errors import PortraitError
from portrait.output import VIDEO_SUFFIXES, check_output


def test_good_places(tmp_path):
    assert check_output(tmp_path / "имя 1.mp4", VIDEO_SUFFIXES) == tmp_path / "имя 1.mp4"
    (tmp_path / "old.MP4").write_bytes(b"old")
    assert check_output(str(tmp_path / "old.MP4"), VIDEO_SUFFIXES, ("idle", None, "source")).read_bytes() == b"old"
    assert check_output(tmp_path / "new/folder/a.mp4", VIDEO_SUFFIXES, create=True).parent.is_dir()


@pytest.mark.parametrize("name", ["a.avi", "a", "missing/a.mp4", "folder.mp4", "input.mp4"])
def test_bad_places(tmp_path, name):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "input.mp4").write_bytes(b"video")
    with pytest.raises(PortraitError, match="E_OUT"):
        check_output(tmp_path / name, VIDEO_SUFFIXES, (tmp_path / "input.mp4",))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs an ordinary user")
def test_not_writable(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PortraitError, match="E_OUT"):
        check_output(tmp_path / "a.mp4", VIDEO_SUFFIXES)


@pytest.mark.parametrize(
    "name", ["x" * 300 + ".mp4", "x" * 5000 + ".mp4", "a\0b.mp4", "~nobody-of-that-name/a.mp4", "file/a.mp4", "", ".mp4"]
)
def test_names_that_no_file_can_have_are_refused_in_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(PortraitError) as caught:
        check_output(name, VIDEO_SUFFIXES)
    assert caught.value.code == "E_OUT"
    assert len(str(caught.value)) < 500


def test_a_folder_that_only_looks_writable_is_refused_at_once():
    """Root may write everywhere by its rights, but nobody can make a file in /proc."""
    if not os.access("/proc", os.W_OK):
        pytest.skip("needs root on Linux")
    with pytest.raises(PortraitError, match="E_OUT"):
        check_output("/proc/a.mp4", VIDEO_SUFFIXES)


def test_words_that_are_no_files_are_no_inputs_either(tmp_path):
    out = tmp_path / "a.mp4"
    out.touch()
    assert check_output(out, VIDEO_SUFFIXES, ("teal", "x" * 5000, "a\0b", "~nobody-of-that-name/a", None)) == out
    assert list(tmp_path.iterdir()) == [out]
