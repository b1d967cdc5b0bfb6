"""Formats that FFmpeg decodes: the right length, the right tone, and spans that equal one reading of the whole.

docs/reference/audio.md lists every format; a test here compares it with what the tests encode.
"""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from domain.errors import Empty, Inconsistent, NoDecoder, Unreadable, UnsupportedFormat, Unusable
from tasks.audio.preset import Preset
from tasks.audio.recording import decode, probe
from tasks.audio.source import Remote
from tasks.audio.strip import make_strip
from tasks.dataset.layouts.files import AUDIO_SUFFIXES
from tests.fuzzing import fuzzed
from tests.properties.test_pieces import FORMATS as BY_LIBSNDFILE
from tests.unit.audio.rare_formats import AMR_WB, MONKEYS_AUDIO

av = pytest.importorskip("av", reason="PyAV is not installed; requirements/dev.lock has it")

from tests.unit.audio.av_files import FORMATS, Format, encode_into  # noqa: E402

Samples = npt.NDArray[np.float32]
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "audio.md"
DURATION_S = 12.3
SPANS = 3
M4A, ADTS, WAVPACK = FORMATS[0], FORMATS[7], FORMATS[14]
WEBM = next(how for how in FORMATS if how.container == "webm")
by_format = pytest.mark.parametrize("how", FORMATS, ids=lambda how: how.format)


@pytest.fixture(scope="module")
def short_spans(preset: Preset) -> Preset:
    """The preset with spans of 5 s, so that a few seconds have several."""
    return replace(
        preset, decode=replace(preset.decode, span_s=5), denoise=replace(preset.denoise, block_samples=160_000)
    )


def tone(rate_hz: int, duration_s: float = DURATION_S) -> Samples:
    """1,000 Hz at half of full scale over faint noise."""
    n = round(duration_s * rate_hz)
    samples = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(n) / rate_hz)
    return (samples + 0.001 * np.random.default_rng(0).standard_normal(n)).astype(np.float32)


def frequency_hz(samples: Samples, rate_hz: int) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate_hz / len(samples))


def written(folder: Path, data: bytes) -> Path:
    path = folder / "a.x"
    path.write_bytes(data)
    return path


def whole(data: bytes) -> Samples:
    """Everything that PyAV decodes in one reading, (n, channels)."""
    with av.open(io.BytesIO(data)) as file:
        frames = list(file.decode(audio=0))
        converted = av.AudioResampler(format="flt")
        pieces = [piece.to_ndarray() for frame in frames for piece in converted.resample(frame)]
    channels = frames[0].layout.nb_channels
    return np.concatenate([piece.reshape(-1, channels) for piece in pieces])


@by_format
def test_a_recording_has_its_length_its_tone_and_its_level(how: Format, tmp_path: Path, preset: Preset) -> None:
    samples = tone(how.rate_hz)
    path = written(tmp_path, how.encoded(samples))
    facts = probe(path)
    assert (facts.format, facts.rate_hz, facts.channels) == (how.format, how.rate_hz, 1)
    assert abs(facts.n_frames - len(samples)) <= max(how.longest_padding, how.rate_hz // 20 * (how.container == "webm"))
    found = decode(path, preset, 0).span
    n = round(len(found) * how.rate_hz / 32_000)
    assert len(samples) - how.longest_loss <= n <= len(samples) + how.longest_padding
    middle = found[32_000 : 9 * 32_000]
    assert frequency_hz(middle, 32_000) == pytest.approx(1000, abs=0.2)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=how.level)
    if how.accuracy is not None:
        assert np.abs(found[: len(samples)] - samples).max() <= how.accuracy


@by_format
def test_spans_in_any_order_equal_one_reading_of_the_whole(how: Format, tmp_path: Path, short_spans: Preset) -> None:
    mono = tone(how.rate_hz)
    data = how.encoded(mono if "AMR" in how.format else np.stack([mono, 0.5 * mono], axis=1))
    path = written(tmp_path, data)
    spans = {n: decode(path, short_spans, n).span for n in (2, 0, 1)}
    n_frames = round(sum(map(len, spans.values())) * how.rate_hz / 32_000)
    reference = tmp_path / "whole.wav"
    soundfile.write(reference, whole(data)[:n_frames], how.rate_hz, subtype="FLOAT")
    for n in range(SPANS):
        np.testing.assert_allclose(spans[n], decode(reference, short_spans, n).span, atol=1e-6)


@pytest.mark.parametrize(
    ("data", "name", "n_frames"),
    [(MONKEYS_AUDIO, "APE/APE", 1_600), (AMR_WB, "AMR/AMRWB", 8_000)],
    ids=["monkeys-audio", "amr-wb"],
)
def test_a_tone_that_another_encoder_wrote(
    data: bytes, name: str, n_frames: int, tmp_path: Path, preset: Preset
) -> None:
    path = written(tmp_path, data)
    facts = probe(path)
    assert (facts.format, facts.n_frames, facts.rate_hz) == (name, n_frames, 16_000)
    found = decode(path, preset, 0).span
    assert len(found) == 2 * n_frames
    assert frequency_hz(found, 32_000) == pytest.approx(1000, abs=1)
    assert np.abs(found).max() == pytest.approx(0.5, rel=0.1)


def test_a_strip_names_decoder_and_version(tmp_path: Path, preset: Preset) -> None:
    strip = make_strip(written(tmp_path, M4A.encoded(tone(32_000, 5))), "d" * 64, 0, 0, preset)
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    assert strip.versions.items() >= {"av": av.__version__, "decoder": "aac", "libavcodec": version}.items()
    soundfile.write(tmp_path / "a.wav", tone(32_000, 5), 32_000)
    assert "av" not in make_strip(tmp_path / "a.wav", "d" * 64, 0, 0, preset).versions


@pytest.mark.parametrize("how", [M4A, WEBM, WAVPACK], ids=lambda how: how.format)
def test_a_remote_recording_is_decoded_like_a_local_one(how: Format, tmp_path: Path, short_spans: Preset) -> None:
    data = how.encoded(tone(how.rate_hz))
    path = written(tmp_path, data)
    remote = Remote("a.x", len(data), lambda start, stop: data[start:stop])
    assert probe(remote) == probe(path)
    for span in (1, 0):
        assert np.array_equal(decode(remote, short_spans, span).samples, decode(path, short_spans, span).samples)


@pytest.mark.parametrize("n_good", [0, 1])
def test_a_network_error_is_not_blamed_on_the_recording(n_good: int, preset: Preset) -> None:
    data = next(how for how in FORMATS if how.container == "mov").encoded(tone(32_000, 20))
    answers = iter([True] * n_good)

    def fetch(start: int, stop: int) -> bytes:
        if not next(answers, False):
            raise OSError(5, "gone")
        return data[start:stop]

    assert len(data) > 1 << 20
    with pytest.raises(OSError, match="gone"):
        decode(Remote("a.mov", len(data), fetch), preset, 0)


def test_a_truncated_mp4_says_what_is_stated_and_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="ipod", container_options={"movflags": "faststart"}) as file:
        encode_into(file, M4A.stream_in(file), tone(32_000))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(Inconsistent, match=r"is truncated: its header declares 12\.3 s, but the file holds [56]\.\d s"):
        probe(path)


@pytest.mark.parametrize("how", [WEBM, WAVPACK, FORMATS[13], FORMATS[15], FORMATS[18]], ids=lambda how: how.format)
def test_a_truncated_recording_of_another_format_is_named(how: Format, tmp_path: Path) -> None:
    data = how.encoded(tone(how.rate_hz))
    with pytest.raises(Inconsistent, match="is truncated: its header declares"):
        probe(written(tmp_path, data[: len(data) // 2]))


@pytest.mark.parametrize("how", [M4A, ADTS], ids=lambda how: how.format)
def test_damage_inside_is_named_with_the_seconds_lost(how: Format, tmp_path: Path, preset: Preset) -> None:
    data = bytearray(how.encoded(tone(how.rate_hz)))
    middle, n = len(data) // 2, len(data) // 10
    data[middle : middle + n] = b"\xff" * n
    with pytest.raises(Unreadable, match=r"is damaged: (about )?\d+\.\d s (after|of it)"):
        decode(written(tmp_path, bytes(data)), preset, 0)


def test_two_streams_of_audio_are_refused(tmp_path: Path) -> None:
    buffer, flac = io.BytesIO(), next(how for how in FORMATS if how.format == "MATROSKA/FLAC")
    with av.open(buffer, "w", format="matroska") as file:
        for stream in [flac.stream_in(file) for _ in range(2)]:
            encode_into(file, stream, tone(32_000, 1))
    with pytest.raises(Inconsistent, match="holds 2 audio streams that play at the same time"):
        probe(written(tmp_path, buffer.getvalue()))


def test_a_change_of_rate_inside_is_refused(tmp_path: Path, preset: Preset) -> None:
    both = [replace(ADTS, rate_hz=rate_hz).encoded(tone(rate_hz, 3)) for rate_hz in (32_000, 44_100)]
    with pytest.raises(Inconsistent, match="changes from 32000 Hz and 1 channels to 44100 Hz"):
        decode(written(tmp_path, b"".join(both)), preset, 0)


def test_a_video_without_sound_is_empty(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=10, width=16, height=16)
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        file.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(Empty, match="holds no stream of audio"):
        probe(written(tmp_path, buffer.getvalue()))


def test_the_sound_of_a_video_is_read(tmp_path: Path, preset: Preset) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        picture, sound = file.add_stream("mpeg4", rate=10, width=16, height=16), M4A.stream_in(file)
        picture.time_base = Fraction(1, 10)
        for n in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), n, np.uint8), format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 10)
            file.mux(picture.encode(frame))
        file.mux(picture.encode(None))
        encode_into(file, sound, tone(32_000, 3))
    assert len(decode(written(tmp_path, buffer.getvalue()), preset, 0).span) == 96_000


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile /etc/hostname\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1/a.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    ],
    ids=["concat", "hls", "sdp"],
)
def test_a_playlist_is_no_recording(text: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat):
        probe(written(tmp_path, text.encode() * 20))


def test_speex_is_refused_with_the_program_that_converts_it(tmp_path: Path) -> None:
    page = b"OggS\0\2" + bytes(20) + b"\1\x50" + b"Speex   1.2.1".ljust(80, b"\0")
    with pytest.raises(UnsupportedFormat, match=r"Speex, which is not decoded: .* convert it with speexdec"):
        probe(written(tmp_path, page))


def test_without_pyav_the_recording_needs_a_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, M4A.encoded(tone(32_000, 1)))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(NoDecoder, match=r"needs PyAV; install it: pip install .*; or convert the recording to WAV"):
        probe(path)


def test_a_packet_that_declares_half_a_gigabyte_is_the_recordings_fault(tmp_path: Path) -> None:
    data = bytearray(M4A.encoded(tone(32_000, 1)))
    first_size = data.index(b"stsz") + 16
    data[first_size : first_size + 4] = (1 << 29 | 1 << 5).to_bytes(4, "big")
    with pytest.raises(Inconsistent, match=r"is truncated: its header declares 1.0 s, but the file holds 0.0 s"):
        probe(written(tmp_path, bytes(data)))


def test_bytes_changed_at_random_are_decoded_or_have_a_reason(tmp_path: Path, preset: Preset) -> None:
    seeds = [how.encoded(tone(how.rate_hz, 1)) for how in FORMATS] + [MONKEYS_AUDIO, AMR_WB]
    fuzzed(seeds, lambda data: decode(written(tmp_path, data), preset, 0), (Unusable,))


def test_the_page_lists_each_format_that_a_test_encodes_and_each_ending() -> None:
    page = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"`([A-Z0-9]+/[A-Z0-9_]+)`", page)
    by_libsndfile = [f"{kind}/{subtype}" for kind, subtype in [*BY_LIBSNDFILE, ("MP3", "MPEG_LAYER_III")]]
    assert sorted(listed) == sorted([*by_libsndfile, *(how.format for how in FORMATS), "APE/APE", "AMR/AMRWB"])
    assert set(re.findall(r"`(\.\w+)`", page)) == AUDIO_SUFFIXES
