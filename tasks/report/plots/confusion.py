"""Draw a confusion matrix as a heatmap, readable from two classes to two hundred; of more classes, draw a part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from tasks.report.plots.drawing import INK, LINE, Drawing, inline, names_width_px, shortened

# From transparent to a blue dark enough for white text, so that empty cells show the page's background.
# Steep at first, because readers look for small shares off the diagonal.
_OPACITY = ((0.0, 0.0), (0.1, 0.28), (0.4, 0.62), (1.0, 1.0))
_BLUES = LinearSegmentedColormap.from_list(
    "share of a row", [(share, (0.0, 0.36, 0.64, opacity)) for share, opacity in _OPACITY]
)
_WHITE_TEXT_FROM = 0.5
_MOST_WITH_NUMBERS = 40


def confusion_figure(
    confusion: NDArray[np.int64], labels: Sequence[str], row_sums: NDArray[np.int64] | None = None
) -> str:
    """Draw a confusion matrix; the colour of a cell is its share of its row.

    confusion: (C, C) counts in label order, rows the truth, columns the predictions.
    row_sums: (C,) counts of whole rows if the matrix is a part of a larger one.
    Up to 40 classes, the cells contain their counts.
    Returns an SVG element. Above some 25 classes it is wider than a screen and needs a scrolling container.
    """
    n_classes = len(labels)
    cell_px = float(np.clip(760 / n_classes, 11, 56))
    font_px = min(11.0, 0.82 * cell_px)
    names = [shortened(label) for label in labels]
    margin = names_width_px(names, font_px)
    side = cell_px * n_classes
    drawing = Drawing((margin + side + 20, side + margin + 24), (margin + 14, 6, 6, margin + 18))
    totals = confusion.sum(axis=1) if row_sums is None else row_sums
    shares = confusion / np.maximum(totals, 1)[:, np.newaxis]
    with drawing as axes:
        sns.heatmap(
            shares, ax=axes, cmap=_BLUES, vmin=0, vmax=1, cbar=False, rasterized=True,
            xticklabels=False, yticklabels=False,
        )  # fmt: skip
        if n_classes <= _MOST_WITH_NUMBERS:
            _write_counts(axes, confusion, shares, min(11.0, 0.46 * cell_px))
        _format_axes(axes, names, font_px)
    return inline(drawing.svg, _alt(confusion, is_part=row_sums is not None), kind="matrix")


def _write_counts(axes: Axes, confusion: NDArray[np.int64], shares: NDArray[np.float64], font_px: float) -> None:
    for row, column in zip(*np.nonzero(confusion), strict=True):
        colour = "white" if shares[row, column] >= _WHITE_TEXT_FROM else INK
        axes.text(
            column + 0.5, row + 0.5, str(confusion[row, column]),
            ha="center", va="center_baseline", fontsize=font_px, color=colour,
        )  # fmt: skip


def _format_axes(axes: Axes, names: Sequence[str], font_px: float) -> None:
    n_classes = len(names)
    centres = np.arange(n_classes) + 0.5
    axes.set_xticks(centres, labels=names, rotation=90, fontsize=font_px)
    axes.set_yticks(centres, labels=names, rotation=0, fontsize=font_px)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(FixedLocator(list(range(n_classes + 1))))
        axis.grid(visible=True, which="minor", linewidth=0.4)
    axes.tick_params(which="both", length=0, labelcolor=INK)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE)


def _alt(confusion: NDArray[np.int64], *, is_part: bool) -> str:
    right, n = int(np.trace(confusion)), int(confusion.sum())
    which = f"the {len(confusion)} most confused classes" if is_part else f"{len(confusion)} classes"
    return (
        f"Confusion matrix of {which}: {right} of {n} chunks are on the diagonal; "
        "the table below lists the most frequent confusions"
    )
