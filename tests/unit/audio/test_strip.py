"""A strip is made of a span, travels as a PNG, and nothing else is taken for one."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from db.store.folder import FolderStore
from domain.digests import content_digest
from domain.errors import Damaged, Silent
from domain.stored_file import verified
from tasks.audio.chunk import chunks
from tasks.audio.denoise import denoise
from tasks.audio.fast import fft, kernels
from tasks.audio.features import features
from tasks.audio.preset import Preset
from tasks.audio.recording import decode
from tasks.audio.spectrogram import log_mel
from tasks.audio.strip import Strip, StripError, decode_strip, encode, make_strip, warm
from tests.memory import peak_memory
from tests.unit.audio.signals import song, write

DIGEST = "d" * 64


@pytest.fixture(scope="module")
def wren(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("song") / "wren.flac", song(12 * 32_000))


@pytest.fixture(scope="module")
def strip(wren: Path, preset: Preset) -> Strip:
    return make_strip(wren, DIGEST, 0, 0, preset)


def _piece(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _header(width: int, height: int, *rest: int) -> bytes:
    return _piece(b"IHDR", struct.pack(">II", width, height) + bytes(rest or (8, 0, 0, 0, 0)))


def test_a_strip_holds_each_chunk_side_by_side_with_its_features(wren: Path, strip: Strip, preset: Preset) -> None:
    pieces = chunks(denoise(decode(wren, preset, 0), preset), 0, preset)
    assert strip.image.shape == (48, 128 * 2)
    assert strip.spectrograms.shape == (2, 48, 128)
    for piece, picture, row in zip(pieces, strip.spectrograms, strip.features, strict=True):
        np.testing.assert_array_equal(picture, log_mel(piece, preset))
        np.testing.assert_array_equal(row, features(piece, preset))


def test_it_names_its_origin(strip: Strip, preset: Preset) -> None:
    assert (strip.recording_digest, strip.span, strip.copy) == (DIGEST, 0, 0)
    assert strip.pipeline_digest == preset.digest
    assert {"librosa", "libsndfile", "numpy", "soxr"} <= set(strip.versions)


def test_it_comes_back_from_its_bytes_as_it_was(strip: Strip) -> None:
    again = decode_strip(encode(strip))
    np.testing.assert_array_equal(again.image, strip.image)
    np.testing.assert_array_equal(again.features, strip.features)
    assert (again.features.dtype, again.image.dtype) == (np.float32, np.uint8)
    for name in ("recording_digest", "span", "copy", "pipeline_digest", "versions"):
        assert getattr(again, name) == getattr(strip, name)


def test_the_same_span_gives_the_same_bytes(wren: Path, strip: Strip, preset: Preset) -> None:
    assert encode(make_strip(wren, DIGEST, 0, 0, preset)) == encode(strip)


def test_any_picture_viewer_shows_it_and_its_texts(strip: Strip) -> None:
    with Image.open(io.BytesIO(encode(strip))) as picture:
        assert (picture.mode, picture.size) == ("L", (256, 48))
        texts = picture.text  # type: ignore[attr-defined]
    assert texts["recording_digest"] == DIGEST
    assert np.shape(json.loads(texts["features"])) == (2, 15)
    assert not {"date", "Creation Time", "Software"} & set(texts)


def test_copies_are_strips_of_their_own(wren: Path, strip: Strip, preset: Preset) -> None:
    copies = [make_strip(wren, DIGEST, 0, copy, preset) for copy in (1, 2)]
    assert [copy.copy for copy in copies] == [1, 2]
    assert len({each.image.tobytes() for each in (strip, *copies)}) == 3
    assert encode(make_strip(wren, DIGEST, 0, 1, preset)) == encode(copies[0])


def test_another_preset_makes_another_shape(wren: Path, preset: Preset) -> None:
    other = replace(preset, mel=replace(preset.mel, n_mels=64, hop_samples=640))
    made = make_strip(wren, DIGEST, 0, 0, other)
    assert made.spectrograms.shape == (2, 64, 251)
    assert decode_strip(encode(made)).spectrograms.shape == (2, 64, 251)


def _compiled() -> dict[str, int]:
    """How many kinds of arguments each kernel has been compiled for."""
    found = {**vars(fft), **vars(kernels)}.items()
    return {name: len(each.signatures) for name, each in found if hasattr(each, "signatures")}


def test_a_warm_process_compiles_nothing_for_a_strip(wren: Path, tmp_path: Path, preset: Preset) -> None:
    warm(preset)
    before = _compiled()
    assert {"spectra", "overlap_add", "fill_mask", "smooth_mask", "frame_statistics"} <= {
        name for name, n in before.items() if n
    }
    for path in (wren, write(tmp_path / "a.wav", song(80 * 44_100).reshape(-1, 2), 44_100)):
        make_strip(path, DIGEST, 0, 0, preset)
    assert _compiled() == before


def test_only_the_silent_span_of_a_recording_is_turned_away(tmp_path: Path, preset: Preset) -> None:
    samples = song(80 * 32_000)
    samples[75 * 32_000 :] = 0
    path = write(tmp_path / "a.flac", samples)
    assert make_strip(path, DIGEST, 0, 0, preset).features.shape == (15, 15)
    with pytest.raises(Silent, match="span 1"):
        make_strip(path, DIGEST, 1, 0, preset)


def test_a_strip_error_is_the_stores_fault() -> None:
    assert issubclass(StripError, Damaged)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_strip_cut_short_is_refused(share: float, strip: Strip) -> None:
    data = encode(strip)
    cut = data[: int(share * len(data))]
    with pytest.raises(Damaged, match="is not what was written"):
        decode_strip(verified(cut, "strips/a.png", content_digest(data)))


def test_every_flipped_byte_is_found(strip: Strip) -> None:
    data = encode(strip)
    sha256 = content_digest(data)
    for at in [*range(120), *range(120, len(data), 97)]:
        damaged = bytearray(data)
        damaged[at] ^= 0x55
        with pytest.raises(Damaged):
            verified(bytes(damaged), "strips/a.png", sha256)


SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = _piece(b"IDAT", zlib.compress(bytes(129 * 48)))
END = _piece(b"IEND", b"")
HOSTILE = {
    "nothing": b"",
    "a text": b"hello" * 100,
    "a signature": SIGNATURE,
    "no fields": SIGNATURE + _header(128, 48) + PIXELS + END,
    "huge": SIGNATURE + _header(60_000, 60_000) + PIXELS + END,
    "two headers": SIGNATURE + _header(128, 48) + _header(60_000, 60_000) + PIXELS + END,
    "no pixels": SIGNATURE + _header(0, 48) + PIXELS + END,
    "too few pixels": SIGNATURE + _header(256, 48) + PIXELS + END,
    "colour": SIGNATURE + _header(128, 48, 8, 2, 0, 0, 0) + PIXELS + END,
    "interlaced": SIGNATURE + _header(128, 48, 8, 0, 0, 0, 1) + PIXELS + END,
    "a pixel bomb": SIGNATURE + _header(128, 48) + _piece(b"IDAT", zlib.compress(bytes(50_000_000), 9)) + END,
    "a text bomb": SIGNATURE
    + _header(128, 48)
    + _piece(b"zTXt", b"features\0\0" + zlib.compress(bytes(50_000_000), 9))
    + PIXELS
    + END,
    "a long text": SIGNATURE + _header(128, 48) + _piece(b"tEXt", b"features\0" + bytes(5_000_000)) + PIXELS + END,
    "a wrong length": SIGNATURE + b"\xff\xff\xff\xffIHDR" + bytes(30),
    "pixels that do not unpack": SIGNATURE + _header(128, 48) + _piece(b"IDAT", b"nonsense") + END,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_took_a_strips_place_is_not_unpacked(
    name: str, strip: Strip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, data = FolderStore(tmp_path), encode(strip)
    store.put("strips/a.png", HOSTILE[name])
    monkeypatch.setattr(Image, "open", None)  # to ask it for anything would be a TypeError
    with peak_memory() as peak, pytest.raises(Damaged, match=r"is not what was written|bytes, more than"):
        decode_strip(store.get("strips/a.png", content_digest(data), len(data)))
    assert peak.size_bytes < 10 << 20


@pytest.mark.parametrize("name", ["nothing", "a text", "a signature", "no fields", "colour", "a wrong length"])
def test_bytes_that_are_no_strip_are_not_taken_for_one(name: str) -> None:
    with pytest.raises(StripError):
        decode_strip(HOSTILE[name])


def _texts(**changed: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda texts: {**texts, **changed}


@pytest.mark.parametrize(
    "change",
    [
        _texts(schema="3"),
        _texts(notes='{"unheard": 1}'),
        lambda texts: {key: value for key, value in texts.items() if key != "span"},
        _texts(span="one"),
        _texts(features="not json"),
        _texts(features="[" * 100_000),
    ],
)
def test_fields_of_another_schema_are_refused(change: Callable[[dict[str, str]], dict[str, str]], strip: Strip) -> None:
    with Image.open(io.BytesIO(encode(strip))) as picture:
        texts = change(dict(picture.text))  # type: ignore[attr-defined]
    pieces = [_piece(b"tEXt", f"{key}\0{value}".encode("latin-1")) for key, value in texts.items()]
    pixels = zlib.compress(bytes(257 * 48))
    data = SIGNATURE + _header(256, 48) + b"".join(pieces) + _piece(b"IDAT", pixels) + END
    with pytest.raises(StripError):
        decode_strip(data)
