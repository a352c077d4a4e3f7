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
