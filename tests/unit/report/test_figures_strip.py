import base64
import io

import librosa
import numpy as np
import pytest
from PIL import Image

from tasks.report.data import GalleryStrip
from tasks.report.plots.spectrograms import height_of, spectrogram_uri, strip_figure


def pixels(uri: str) -> np.ndarray:
    encoded = uri.removeprefix("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"))


def strip(n_chunks: int) -> GalleryStrip:
    return GalleryStrip("wren", "w.ogg", np.zeros((n_chunks, 48, 128), np.uint8), 5.0, 500.0, 12500.0, start_s=10.0)


def test_the_lowest_band_is_at_the_bottom_of_the_image():
    spectrograms = np.zeros((1, 48, 128), dtype=np.uint8)
    spectrograms[0, 0, :] = 255
    picture = pixels(spectrogram_uri(spectrograms))
    assert picture.shape == (48, 128)
    assert (picture[-1] == 255).all()
    assert (picture[:-1] == 0).all()


def test_chunks_are_side_by_side_in_order():
    spectrograms = np.stack([np.full((48, 128), level, np.uint8) for level in (0, 119, 255)])
    picture = pixels(spectrogram_uri(spectrograms))
    assert picture.shape == (48, 384)
    assert picture[0, ::128].tolist() == [0, 119, 255]


def test_grey_levels_are_rounded_to_the_nearest_of_sixteen():
    levels = np.arange(48 * 128, dtype=np.uint64).astype(np.uint8).reshape(1, 48, 128)
    error = pixels(spectrogram_uri(levels)).astype(int) - levels[0, ::-1].astype(int)
    assert np.abs(error).max() <= 9


def test_frequency_positions_match_librosa():
    centres_hz = librosa.mel_frequencies(n_mels=50, fmin=500, fmax=12500)[1:-1]
    heights = [height_of(float(hz), 500, 12500, 48) for hz in centres_hz]
    assert heights == pytest.approx((np.arange(48) + 0.5) / 48)


def test_axes_are_labelled_in_kilohertz_and_seconds():
    svg = strip_figure(strip(3))
    for mark in ("kHz", ">1<", ">2<", ">4<", ">8<", ">10<", ">15<", ">20<", ">25 s<"):
        assert mark in svg
    assert 'aria-label="Spectrogram of wren, 15 seconds of w.ogg"' in svg


def test_a_strip_without_chunks_has_no_figure():
    assert strip_figure(strip(0)) == ""
