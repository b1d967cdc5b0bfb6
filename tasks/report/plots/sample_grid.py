"""Draw real and synthetic spectrograms as a grid with one row per class."""

from __future__ import annotations

import html
from collections.abc import Sequence

from tasks.report.plots.drawing import names_width_px, printable, shortened
from tasks.report.plots.sample_pairs import REAL, SYNTHETIC, Labels, SamplePairs, Spectrograms
from tasks.report.plots.spectrograms import spectrogram_uri

_FONT_PX = 11
_HEAD, _ROW, _GAP = 20, 54, 4
_SIZE = (96, 48)
_BETWEEN = 18


def sample_grid(pairs: SamplePairs, labels: Sequence[str]) -> str:
    """Draw the samples of these labels: real ones on the left, synthetic ones on the right.

    Returns an SVG element, or "" without labels.
    """
    if not labels:
        return ""
    left = round(names_width_px([shortened(label) for label in labels], _FONT_PX))
    middle = left + REAL * (_SIZE[0] + _GAP) + _BETWEEN
    width, height = middle + SYNTHETIC * (_SIZE[0] + _GAP), _HEAD + len(labels) * _ROW
    parts = [
        f'<svg class="figure pairs" role="img" aria-label="Real and synthetic spectrograms of each class" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f'<text x="{left}" y="12">real, used in training</text><text x="{middle}" y="12">synthetic</text>',
    ]
    for number, label in enumerate(labels):
        y = _HEAD + number * _ROW
        name = html.escape(printable(shortened(label)))
        parts.append(f'<text x="{left - 8}" y="{y + _SIZE[1] / 2 + 4:g}" text-anchor="end">{name}</text>')
        parts += _row(pairs.real, pairs.real_labels == number, left, y)
        parts += _row(pairs.synthetic, pairs.synthetic_labels == number, middle, y)
    return "".join([*parts, "</svg>"])


def _row(spectrograms: Spectrograms, selected: Labels, left: int, y: int) -> list[str]:
    width, height = _SIZE
    return [
        f'<image x="{left + at * (width + _GAP)}" y="{y}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{spectrogram_uri(spectrogram[None])}"/>'
        for at, spectrogram in enumerate(spectrograms[selected])
    ]
