"""Real and synthetic spectrograms as a grid, a row a class."""

from __future__ import annotations

import html
from collections.abc import Sequence

from tasks.report.plots.drawing import names_width_px, printable, shortened
from tasks.report.plots.pictures import REAL, SYNTHETIC, Labels, PicturePairs, Pictures
from tasks.report.plots.spectrograms import picture_uri

_FONT_PX = 11
_HEAD, _ROW, _GAP = 20, 54, 4
_PICTURE = (96, 48)
_BETWEEN = 18


def pairs_figure(pairs: PicturePairs, labels: Sequence[str]) -> str:
    """The pictures of these labels as an SVG element: real ones on the left, synthetic ones on the right.

    Returns "" where there are no labels.  Raises nothing.
    """
    if not labels:
        return ""
    left = round(names_width_px([shortened(label) for label in labels], _FONT_PX))
    middle = left + REAL * (_PICTURE[0] + _GAP) + _BETWEEN
    width, height = middle + SYNTHETIC * (_PICTURE[0] + _GAP), _HEAD + len(labels) * _ROW
    parts = [
        f'<svg class="figure pairs" role="img" aria-label="Real and synthetic spectrograms of each class" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f'<text x="{left}" y="12">real, learnt from</text><text x="{middle}" y="12">synthetic</text>',
    ]
    for number, label in enumerate(labels):
        y = _HEAD + number * _ROW
        name = html.escape(printable(shortened(label)))
        parts.append(f'<text x="{left - 8}" y="{y + _PICTURE[1] / 2 + 4:g}" text-anchor="end">{name}</text>')
        parts += _row(pairs.real, pairs.real_labels == number, left, y)
        parts += _row(pairs.synthetic, pairs.synthetic_labels == number, middle, y)
    return "".join([*parts, "</svg>"])


def _row(pictures: Pictures, chosen: Labels, left: int, y: int) -> list[str]:
    width, height = _PICTURE
    return [
        f'<image x="{left + at * (width + _GAP)}" y="{y}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{picture_uri(picture[None])}"/>'
        for at, picture in enumerate(pictures[chosen])
    ]
