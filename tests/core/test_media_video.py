import logging
from fractions import Fraction

import numpy as np
import pytest
from core.errors import PortraitError
from core.media.audio import read_audio, write_audio
from core.media.sound import open_sound
from core.media.video import VideoWriter, read_video, video_info

av = pytest.importorskip("av")
RED = (200, 60, 30)


def clip(path, flashes=(), frames=50, size=(48, 64), **options):
    with VideoWriter(path, size, **options) as video:
        for k in range(frames):
            video.write(np.full((*size, 3), 255 if k in flashes else RED, np.uint8))
    return path


def flashes(frames):
    return [k for k, frame in enumerate(frames) if frame.mean() > 200]


def raw(path, stamps, codec="libx264", pix_fmt="yuv420p", container_options=None, frame=None, rate=1000):
    """A file whose frames get brighter by 10 and have the given times (ms)."""
    with av.open(str(path), "w", options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.time_base = Fraction(1, rate)
        for k, stamp in enumerate(stamps):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * k, np.uint8) if frame is None else frame, format="rgb24")
            picture.pts, picture.time_base = stamp, Fraction(1, rate)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def test_sound_and_picture_stay_together(tmp_path):
    rate = 16000
    sound = np.zeros(2 * rate, np.float32)
    for frame in (10, 40):
        sound[frame * rate // 25 :][:160] = 0.9
    path = clip(tmp_path / "a.mp4", (10, 40), audio=(sound, rate))
    frames = list(read_video(path))
    assert len(frames) == 50
    assert flashes(frames) == [10, 40]
    heard = np.abs(read_audio(path))
    for frame in (10, 40):
        start = frame * rate // 25
        assert abs(np.argmax(heard[start - 3000 : start + 3000] > 0.3) - 3000) < 160  # 10 ms; one frame is 40 ms
    assert abs(len(heard) / rate - 2) < 0.1


def test_colours_survive_and_are_tagged(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=3)
    assert np.abs(next(read_video(path)).astype(int) - RED).max() <= 3
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.colorspace) == ("h264", "yuv420p", 1)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_and_odd_rates(tmp_path):
    path = clip(tmp_path / "a.mp4", size=(33, 47), frames=10, audio=(np.zeros(4800, np.float32), 12345))
    info = video_info(path)
    assert (info.height, info.width, info.fps, info.has_audio, info.rotation) == (34, 48, 25, True, 0)
    assert info.seconds == pytest.approx(0.4)


def test_sound_ends_with_the_picture(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=25, audio=(np.full(80000, 0.1, np.float32), 16000))
    assert len(read_audio(path)) / 16000 < 1.1


def test_failures_leave_nothing(tmp_path):
    def fail():
        with VideoWriter(tmp_path / "a.mp4", 64) as video:
            video.write(np.zeros((64, 64, 3), np.uint8))
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    with pytest.raises(PortraitError, match="E_VIDEO_EMPTY"), VideoWriter(tmp_path / "a.mp4", 64):
        pass
    with pytest.raises(ValueError, match="64"), VideoWriter(tmp_path / "a.mp4", 64) as video:
        video.write(np.zeros((32, 64, 3), np.uint8))
    with pytest.raises(PortraitError, match="E_FORMAT"):
        VideoWriter(tmp_path / "a.avi", 64)
    with pytest.raises(OSError, match="else"), VideoWriter(tmp_path / "a.mp4", 64):
        raise FileNotFoundError(2, "else", "/elsewhere")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(PortraitError, match="E_WRITE"), VideoWriter(tmp_path / "file" / "a.mp4", 64):
        pass


def test_variable_rate_follows_time_stamps(tmp_path):
    stamps = [0, 40, 80, 280, 480, 520, 560]
    path = raw(tmp_path / "a.mkv", stamps)
    levels = np.array([frame.mean() / 10 for frame in read_video(path)]).round().astype(int)
    nearest = [int(np.argmin([abs(40 * k - s) + 1e-3 * i for i, s in enumerate(stamps)])) for k in range(14)]
    agree = levels[:14] == nearest
    ties = np.array([len({abs(40 * k - s) for s in stamps}) < len(stamps) for k in range(14)])
    assert (agree | ties).all()
    assert len(levels) in (14, 15, 16)


def test_rate_conversion(tmp_path):
    path = raw(tmp_path / "a.mkv", [20 * k for k in range(20)])  # 50 frames per second
    levels = [round(frame.mean() / 10) for frame in read_video(path)]
    assert levels == list(range(0, 20, 2))
    assert len(list(read_video(path, fps=100))) in range(40, 45)  # the last frame's length is a guess


def test_ten_bit_and_other_codecs(tmp_path):
    path = raw(tmp_path / "a.mp4", [40 * k for k in range(4)], codec="libx265", pix_fmt="yuv420p10le")
    assert [round(frame.mean() / 10) for frame in read_video(path)] == [0, 1, 2, 3]


def test_display_matrix_is_applied(tmp_path):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :20] = 255  # bright at the left; turned clockwise by a quarter it is at the top
    path = raw(tmp_path / "a.mp4", [40 * k for k in range(3)], frame=frame)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    matrix = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]  # ISO 14496-12: rotation by 90 degrees clockwise
    data[at : at + 36] = np.array(matrix, ">i4").tobytes()
    path.write_bytes(data)
    upright = next(read_video(path))
    assert upright.shape == (64, 48, 3)
    assert upright[:16].mean() > 240
    assert upright[24:].mean() < 15
    assert video_info(path).rotation in (90, 270)


def test_large_frames_are_shrunk(tmp_path):
    assert next(read_video(clip(tmp_path / "a.mp4", frames=1), max_side=32)).shape == (24, 32, 3)


def test_truncated_file_gives_what_decodes(tmp_path, caplog):
    noise = np.random.default_rng(0)
    with VideoWriter(tmp_path / "a.mp4", 64) as video:
        for _ in range(50):
            video.write(noise.integers(0, 255, (64, 64, 3), np.uint8))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    with caplog.at_level(logging.WARNING):
        frames = list(read_video(tmp_path / "cut.mp4"))
    assert 5 < len(frames) < 48
    assert "incomplete" in caplog.text or "damaged" in caplog.text


def test_bad_files_fail_before_iterating(tmp_path):
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video" * 100)
    write_audio(tmp_path / "sound.wav", np.zeros(16000, np.float32), 16000)
    for name, expected in {
        "zero.mp4": "E_VIDEO_EMPTY",
        "text.mp4": "E_VIDEO_READ",
        "sound.wav": "E_VIDEO_READ",
        "no.mp4": "E_NOT_FOUND",
    }.items():
        for reader in (read_video, video_info):
            with pytest.raises(PortraitError) as caught:
                reader(tmp_path / name)
            assert caught.value.code == expected
    with pytest.raises(PortraitError, match="E_AUDIO_EMPTY"):
        read_audio(clip(tmp_path / "mute.mp4", frames=2))


def test_sound_of_a_file_is_written_like_its_samples(tmp_path):
    rng = np.random.default_rng(0)
    write_audio(tmp_path / "a.wav", rng.uniform(-0.5, 0.5, 70_000).astype(np.float32), 24000)
    sound = open_sound(tmp_path / "a.wav")
    streamed, given = (
        clip(tmp_path / name, frames=70, audio=audio)
        for name, audio in (("s.mp4", sound), ("g.mp4", (read_audio(tmp_path / "a.wav", 48000), 48000)))
    )
    assert np.array_equal(read_audio(streamed, 48000), read_audio(given, 48000))


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_tracks_start_together_and_end_within_a_frame(tmp_path, suffix):
    """Read back packet by packet with PyAV: AAC's priming is before the start, the click is where it was."""
    rate, at = 48000, 30_000
    samples = np.zeros(2 * rate + 700, np.float32)
    samples[at : at + 50] = 0.9
    path = clip(tmp_path / f"a.{suffix}", frames=51, audio=(samples, rate))
    with av.open(str(path)) as container:
        streams, times = [container.streams.video[0], container.streams.audio[0]], {"video": [], "audio": []}
        for packet in container.demux(streams):
            if packet.pts is not None:
                times[packet.stream.type] += [float(stamp * packet.time_base) for stamp in (packet.pts, packet.pts + packet.duration)]
    assert min(times["video"]) == 0
    assert -0.03 < min(times["audio"]) <= 0
    assert abs(max(times["video"]) - max(times["audio"])) < 0.04
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert abs(int(np.argmax(np.abs(heard) > 0.3)) + round(frames[0].time * rate) - at) < 100


def test_a_damaged_stretch_is_left_out(tmp_path, caplog):
    noise = np.random.default_rng(0)
    with VideoWriter(tmp_path / "a.mp4", 64) as video:
        for _ in range(50):
            video.write(noise.integers(0, 255, (64, 64, 3), np.uint8))
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    start = data.index(b"mdat") + len(data) // 4
    data[start : start + len(data) // 5] = bytes(len(data) // 5)
    (tmp_path / "a.mp4").write_bytes(data)
    assert len(list(read_video(tmp_path / "a.mp4"))) == 50
    assert "W_DAMAGED" in caplog.text


def test_frames_too_large_to_hold_are_refused(tmp_path):
    from PIL import Image

    Image.new("1", (12_000, 12_000)).save(tmp_path / "a.png")
    for reader in (read_video, video_info):
        with pytest.raises(PortraitError, match="E_VIDEO_TOO_LARGE"):
            reader(tmp_path / "a.png")


def test_large_frames_are_described_without_converting_them(tmp_path):
    import tracemalloc

    from PIL import Image

    Image.new("L", (6000, 5000)).save(tmp_path / "a.png")
    tracemalloc.start()
    info = video_info(tmp_path / "a.png")
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    assert (info.width, info.height) == (6000, 5000)


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert video_info(clip("at-12:30.mp4", frames=2)).width == 64
