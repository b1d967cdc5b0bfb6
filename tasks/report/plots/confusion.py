"""A confusion matrix as a heatmap that can be read with two classes and with two hundred."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from tasks.report.plots.drawing import INK, LINE, Drawing, inline, names_width_px, shortened

# from nothing at all to a blue that carries white text: whatever is behind the page shows through the empty cells;
# steep at first, because the small shares off the diagonal are what a matrix is looked at for
_OPACITY = ((0.0, 0.0), (0.1, 0.28), (0.4, 0.62), (1.0, 1.0))
_BLUES = LinearSegmentedColormap.from_list(
    "share of a row", [(share, (0.0, 0.36, 0.64, opacity)) for share, opacity in _OPACITY]
)
_WHITE_TEXT_FROM = 0.5
_MOST_WITH_NUMBERS = 40


def confusion_figure(confusion: NDArray[np.int64], labels: Sequence[str]) -> str:
    """Counts of truth (rows) against answer (columns), each cell coloured by its share of its row.

    confusion: (C, C) counts in label order, C from 1 to some hundreds.  Counts are written into the cells up to 40
    classes; above that the colour speaks alone.
    Returns an SVG element, which above some 25 classes is wider than a screen and meant to scroll.  Raises nothing.
    """
    n_classes = len(labels)
    cell_px = float(np.clip(760 / n_classes, 11, 56))
    font_px = min(11.0, 0.82 * cell_px)
    names = [shortened(label) for label in labels]
    margin = names_width_px(names, font_px)
    side = cell_px * n_classes
    drawing = Drawing((margin + side + 20, side + margin + 24), (margin + 14, 6, 6, margin + 18))
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    with drawing as axes:
        sns.heatmap(
            shares, ax=axes, cmap=_BLUES, vmin=0, vmax=1, cbar=False, rasterized=True,
            xticklabels=False, yticklabels=False,
        )  # fmt: skip
        if n_classes <= _MOST_WITH_NUMBERS:
            _write_counts(axes, confusion, shares, min(11.0, 0.46 * cell_px))
        _dress(axes, names, font_px)
    return inline(drawing.svg, _alt(confusion), kind="matrix")


def _write_counts(axes: Axes, confusion: NDArray[np.int64], shares: NDArray[np.float64], font_px: float) -> None:
    for row, column in zip(*np.nonzero(confusion), strict=True):
        colour = "white" if shares[row, column] >= _WHITE_TEXT_FROM else INK
        axes.text(
            column + 0.5, row + 0.5, str(confusion[row, column]),
            ha="center", va="center_baseline", fontsize=font_px, color=colour,
        )  # fmt: skip


def _dress(axes: Axes, names: Sequence[str], font_px: float) -> None:
    n_classes = len(names)
    centres = np.arange(n_classes) + 0.5
    axes.set_xticks(centres, labels=names, rotation=90, fontsize=font_px)
    axes.set_yticks(centres, labels=names, rotation=0, fontsize=font_px)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(FixedLocator(list(range(n_classes + 1))))
        axis.grid(visible=True, which="minor", linewidth=0.4)
    axes.tick_params(which="both", length=0, labelcolor=INK)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE)


def _alt(confusion: NDArray[np.int64]) -> str:
    right, n = int(np.trace(confusion)), int(confusion.sum())
    return (
        f"Confusion matrix of {len(confusion)} classes: {right} of {n} chunks lie on the diagonal; "
        "the commonest confusions are listed in the table below"
    )
