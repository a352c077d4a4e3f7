import pytest
from core.errors import PortraitError
from core.media.files import atomic_path, check_input


@pytest.mark.parametrize("name", ["", "absent.png", "x" * 300, "x/" * 3000, "a\0b", "~nobody-of-that-name/a.png", "file/below"])
def test_names_of_nothing_are_refused_in_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(PortraitError) as caught:
        check_input(name, "IMAGE")
    assert caught.value.code == "E_NOT_FOUND"
    assert len(str(caught.value)) < 450
    assert "\n" not in str(caught.value)


def test_a_name_as_long_as_allowed_can_be_written(tmp_path):
    path = tmp_path / ("\N{FACE WITH TEARS OF JOY}" * 62 + ".mp4")  # 252 bytes; file systems allow 255
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"done")
    assert path.read_bytes() == b"done"
    assert list(tmp_path.iterdir()) == [path]
