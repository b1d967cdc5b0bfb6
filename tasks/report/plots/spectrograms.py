"""Draw spectrograms as small grey images with time in seconds and frequency in kilohertz."""

from __future__ import annotations

import base64
import html
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.report.data import GalleryStrip
from tasks.report.plots.drawing import printable

_LEFT, _BOTTOM, _TOP = 26, 18, 6
_BAND_PX = 2
_CHUNK_PX = 128
_TICKS_KHZ = (0.5, 1, 2, 4, 8, 16, 32, 64)
_GREYS = 16


def spectrogram_uri(spectrograms: NDArray[np.uint8]) -> str:
    """Encode spectrograms side by side as a PNG data URI with 16 grey levels, lowest band at the bottom.

    spectrograms: (n, mel, frame) uint8, row 0 the lowest band.
    16 grey levels need half the bytes of 256 and look alike. Equal input gives equal output.
    """
    side_by_side = np.hstack(list(spectrograms))[::-1]
    image = Image.fromarray(np.round(side_by_side / (255 / (_GREYS - 1))).astype(np.uint8), mode="P")
    image.putpalette([grey for level in range(_GREYS) for grey in [level * 255 // (_GREYS - 1)] * 3])
    target = io.BytesIO()
    image.save(target, format="PNG", bits=4, optimize=True)
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()


def _mel(frequency_hz: float) -> float:
    if frequency_hz < 1000:
        return frequency_hz * 3 / 200
    return 15 + 27 * math.log(frequency_hz / 1000) / math.log(6.4)


def height_of(frequency_hz: float, low_hz: float, high_hz: float, n_bands: int) -> float:
    """Return the vertical position of a frequency in an image of mel bands: 0 at the bottom edge, 1 at the top.

    frequency_hz, low_hz, high_hz: hertz. The centres of the bands divide low..high evenly on Slaney's mel scale, both
    ends excluded.
    Source: M. Slaney 1998, Auditory Toolbox, Interval Research report 1998-010; agrees with librosa 0.11
    `mel_frequencies` (tests/unit/report/test_figures_strip.py).
    """
    steps = (_mel(frequency_hz) - _mel(low_hz)) / (_mel(high_hz) - _mel(low_hz)) * (n_bands + 1)
    return (steps - 0.5) / n_bands


def strip_figure(strip: GalleryStrip) -> str:
    """Draw a strip with its axes.

    Returns an SVG element, or "" for a strip without spectrograms.
    """
    n_chunks, n_bands, _ = strip.spectrograms.shape
    if n_chunks == 0:
        return ""
    width, height = n_chunks * _CHUNK_PX, n_bands * _BAND_PX
    alt = printable(f"Spectrogram of {strip.label}, {n_chunks * strip.chunk_s:g} seconds of {strip.recording}")
    parts = [
        f'<svg class="figure strip" role="img" aria-label="{html.escape(alt)}" width="{_LEFT + width + 10}" '
        f'height="{_TOP + height + _BOTTOM}" viewBox="0 0 {_LEFT + width + 10} {_TOP + height + _BOTTOM}">',
        f'<image x="{_LEFT}" y="{_TOP}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="{spectrogram_uri(strip.spectrograms)}"/>',
        *_frequency_marks(strip, height),
        *_time_marks(strip, height),
        "</svg>",
    ]
    return "".join(parts)


def _frequency_marks(strip: GalleryStrip, height: int) -> list[str]:
    marks = []
    for khz in _TICKS_KHZ:
        share = height_of(1000 * khz, strip.low_hz, strip.high_hz, strip.spectrograms.shape[1])
        if 0.04 <= share <= 0.97:
            y = _TOP + height * (1 - share)
            text = f'<text x="{_LEFT - 6}" y="{y + 3:.1f}" text-anchor="end">{khz:g}</text>'
            marks.append(f'<path d="M{_LEFT - 4} {y:.1f}h4"/>{text}')
    return [*marks, f'<text x="0" y="{_TOP + height + 13}">kHz</text>']


def _time_marks(strip: GalleryStrip, height: int) -> list[str]:
    n_chunks = len(strip.spectrograms)
    marks = []
    for place in range(n_chunks + 1):
        x, last = _LEFT + place * _CHUNK_PX, place == n_chunks
        text = f"{strip.start_s + place * strip.chunk_s:g}" + (" s" if last else "")
        anchor = "end" if last else "middle"
        marks.append(f'<path d="M{x} {_TOP + height}v4"/>')
        marks.append(f'<text x="{x + 10 * last}" y="{_TOP + height + 14}" text-anchor="{anchor}">{text}</text>')
    return marks
