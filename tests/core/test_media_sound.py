"""Sound that files should not hold, and sound of any length."""

import logging
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from core.errors import PortraitError
from core.media import sound as sound_module
from core.media.audio import read_audio, write_audio
from core.media.resampling import resample_blocks, resampled_length
from core.media.sound import open_sound

av = pytest.importorskip("av")
soundfile = pytest.importorskip("soundfile")
RATE = 16000


def tone(seconds=1.0, rate=RATE, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def encoded(path, samples, rate, codec, **options):
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout="mono", options=options)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("source", "target"), [(44100, 48000), (22050, 16000), (48000, 16000), (8000, 48000), (12345, 16000), (100, 16000)]
)
def test_resampling_a_stream_equals_resampling_the_whole(source, target):
    from scipy.signal import resample_poly

    rng = np.random.default_rng(0)
    samples = rng.standard_normal(200_001 if source > 1000 else 2001).astype(np.float32)
    parts = np.split(samples, np.sort(rng.integers(0, len(samples), 9)))
    streamed = np.concatenate(list(resample_blocks(parts, source, target)))
    assert len(streamed) == resampled_length(len(samples), source, target)
    np.testing.assert_allclose(streamed, resample_poly(samples, target, source), atol=2e-6)


@pytest.mark.parametrize("channels", [6, 8, 13])
def test_many_channels_without_names_are_averaged(tmp_path, channels):
    """PyAV's arrays of planar sound end the process from eight channels on."""
    levels = np.arange(channels) / channels
    soundfile.write(tmp_path / "a.wav", tone()[:, None] * levels, RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), tone() * levels.mean(), atol=1e-6)


@pytest.mark.parametrize(("layout", "centre"), [("5.1", 2), ("5.1(side)", 2), ("7.1", 2), ("3.0", 2)])
def test_films_keep_speech_in_the_centre(tmp_path, layout, centre):
    """Music all around and a rumble below are not heard; a silent centre is not listened to."""
    count = len(av.AudioLayout(layout).channels)
    others = np.stack([0.3 * tone(hertz=900 + 50 * n) for n in range(count)], 1)
    spoken = others.copy()
    spoken[:, centre] = 0.2 * tone()
    others[:, centre] = 0

    def write(name, samples):
        with av.open(str(tmp_path / name), "w") as out:
            stream = out.add_stream("pcm_f32le", rate=RATE, layout=layout)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.reshape(1, -1)), format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return tmp_path / name

    np.testing.assert_allclose(read_audio(write("a.wav", spoken)), spoken[:, centre], atol=1e-5)
    np.testing.assert_allclose(read_audio(write("b.wav", others)), others.mean(1), atol=1e-5)


def test_too_many_channels_are_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((4000, 100), np.float32), RATE)
    with pytest.raises(PortraitError, match="E_AUDIO_READ: the 100 channels"):
        read_audio(tmp_path / "a.wav")


def test_channels_that_cancel_are_heard(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", np.stack([0.5 * tone(), -0.5 * tone()], 1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), 0.5 * tone(), atol=1e-6)
    assert caplog.text.count("W_SOUND_OPPOSED") == 1
    soundfile.write(tmp_path / "b.wav", np.stack([tone(), tone(hertz=300)], 1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "b.wav"), 0.5 * (tone() + tone(hertz=300)), atol=1e-6)
    assert caplog.text.count("W_SOUND_OPPOSED") == 1


def test_full_scale_keeps_its_level_through_resampling(tmp_path, caplog):
    """The filter overshoots at the edges of a square wave; that is no reason to make everything quieter."""
    square = np.sign(tone(rate=22050, hertz=100)).astype(np.float32)
    write_audio(tmp_path / "a.wav", square, 22050)
    samples = read_audio(tmp_path / "a.wav", 16000)
    assert np.median(np.abs(samples)) > 0.98
    assert np.abs(samples).max() <= 1
    assert "full scale" not in caplog.text


def test_ripple_of_lossy_codecs_is_cut_and_not_scaled(tmp_path, caplog):
    rng = np.random.default_rng(0)
    clipped = np.clip(3 * rng.standard_normal(48000), -1, 1).astype(np.float32)
    path = encoded(tmp_path / "a.mp3", clipped, 48000, "libmp3lame", b="48k")
    with av.open(str(path)) as container:
        raw = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert np.abs(raw).max() > 1.2
    np.testing.assert_allclose(read_audio(path, 48000), np.clip(raw, -1, 1), atol=1e-6)
    assert "full scale" not in caplog.text


def test_each_complaint_is_made_once(tmp_path, caplog):
    samples = 8 * tone()
    samples[100:110] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    sound = open_sound(tmp_path / "a.wav")
    assert np.abs(sound.read(RATE)).max() == pytest.approx(1)
    assert sum(len(block) for block in sound.blocks(48000)) == 48000
    assert [record.message.split(":")[0] for record in caplog.records] == ["W_SOUND_BROKEN", "W_SOUND_LOUD"]


def test_what_follows_damage_is_kept_in_its_place(tmp_path, caplog):
    marked = np.concatenate([tone(2), 0 * tone(1), tone(1, hertz=1000)])
    path = encoded(tmp_path / "a.mp4", marked, RATE, "aac", b="64k")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 3000
    data[start : start + 3000] = b"\xff" * 3000
    path.write_bytes(data)
    samples = read_audio(path)
    spectrum = np.abs(np.fft.rfft(samples[int(3.2 * RATE) : int(3.7 * RATE)]))
    assert abs(2 * spectrum.argmax() - 1000) < 4
    assert np.abs(samples[int(2.3 * RATE) : int(2.8 * RATE)]).max() < 0.01
    assert abs(len(samples) / RATE - 4) < 0.1
    assert [record.message.split(":")[0] for record in caplog.records] == ["W_DAMAGED"]


def timed(path, starts, video_start=None):
    """Half a second of constant sound of growing level from each of the given times (ms), in Matroska."""
    with av.open(str(path), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        if video_start is not None:
            video = out.add_stream("libx264", rate=25)
            video.width = video.height = 64
            video.pix_fmt, video.codec_context.time_base = "yuv420p", Fraction(1, 1000)
            for k in range(5):
                picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                picture.pts, picture.time_base = video_start + 40 * k, Fraction(1, 1000)
                out.mux(video.encode(picture))
            out.mux(video.encode(None))
        for k, start in enumerate(starts):
            level = np.full((1, RATE // 2), 1000 * (k + 1), np.int16)
            frame = av.AudioFrame.from_ndarray(level, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start * RATE // 1000, Fraction(1, RATE)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


def levels_at(samples, seconds):
    return [round(float(samples[int(second * RATE)]) * 32768 / 1000) for second in seconds]


def test_pauses_in_the_time_stamps_are_silence(tmp_path):
    samples = read_audio(timed(tmp_path / "a.mkv", [0, 500, 2000]))
    assert levels_at(samples, [0.25, 0.75, 1.25, 1.9, 2.25]) == [1, 2, 0, 0, 3]
    assert len(samples) == pytest.approx(2.5 * RATE, abs=20)
    assert len(read_audio(timed(tmp_path / "b.mkv", [0, 500_000]))) == RATE, "a broken clock is no silence"


@pytest.mark.parametrize(("starts", "video_start", "expected"), [([400, 900], 0, [0, 1, 2]), ([0, 500], 200, [1, 1, 2])])
def test_sound_starts_with_the_picture(tmp_path, starts, video_start, expected):
    samples = read_audio(timed(tmp_path / "a.mkv", starts, video_start))
    assert levels_at(samples, [0.05, 0.25 if video_start else 0.45, 0.45 if video_start else 0.95]) == expected


def test_long_sound_is_read_within_bounded_memory(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 80_000).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", np.tile(noise, 12), 8000)  # two minutes
    tracemalloc.start()
    sound = open_sound(tmp_path / "a.flac")
    total = sum(len(block) for block in sound.blocks(48000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 120 * 48000
    assert peak < 8e6 < 4 * total
    tracemalloc.start()
    with pytest.raises(PortraitError, match=r"E_AUDIO_LONG: .* is longer than 60 s"):
        read_audio(tmp_path / "a.flac", max_seconds=60)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_a_file_that_says_how_long_it_is_is_refused_at_once(tmp_path, monkeypatch):
    write_audio(tmp_path / "a.wav", np.zeros(60 * RATE, np.float32), RATE)
    heard = []
    monkeypatch.setattr(sound_module._Levels, "add", lambda self, block: heard.append(len(block)))
    with pytest.raises(PortraitError, match=r"E_AUDIO_LONG: .* is longer than 50 s"):
        read_audio(tmp_path / "a.wav", max_seconds=50)
    assert not heard


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_audio("rec-12:30.wav", tone(), RATE)
    assert len(read_audio("rec-12:30.wav")) == RATE


def test_nothing_but_our_own_words_about_bad_mp3(tmp_path, capfd, caplog):
    (tmp_path / "a.mp3").write_bytes(np.random.default_rng(0).integers(0, 256, 20000, np.uint8).tobytes())
    with caplog.at_level(logging.WARNING), pytest.raises(PortraitError, match="E_AUDIO_READ"):
        read_audio(tmp_path / "a.mp3")
    assert capfd.readouterr().err == ""
