"""Scores and histories to drawings: learning curves, bars by class, work over time.

Every function returns one inline `<svg>` element; see `drawing` for what makes it fit any page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tasks.report.plots.drawing import INK, MUTED, SERIES, Drawing, inline, names_width_px, shortened
from tasks.report.scoring.calibration import ConfidenceBin

History = Sequence[Mapping[str, float]]

_ROW_PX = 18
_FONT_PX = 11


def best_epoch(history: History) -> int | None:
    """The epoch (counted from 1) with the lowest validation loss, the first of equals; None where none was measured.

    history: one mapping an epoch with Keras's names, `loss`, `accuracy`, `val_loss`, `val_accuracy`, and `epoch`,
    counted from 1, where the rows are not simply one after the other.

    >>> best_epoch([{"val_loss": 2.0}, {"val_loss": 1.5}, {"val_loss": 1.7}])
    2
    """
    measured = [(loss, epoch) for epoch, loss in _points(history, "val_loss")]
    return min(measured)[1] if measured else None


def _points(history: History, quantity: str) -> list[tuple[int, float]]:
    return [
        (int(row.get("epoch", place)), row[quantity])
        for place, row in enumerate(history, 1)
        if row.get(quantity) is not None and math.isfinite(row[quantity])
    ]


def learning_curve(histories: Sequence[History], quantity: str) -> str:
    """One quantity by epoch, training and validation side, one pair of lines a fold, the best epochs ringed.

    histories: one a fold, as in `best_epoch`.  quantity: `loss` or `accuracy`.
    Returns an SVG element, or "" where no history holds the quantity.  Raises nothing.
    """
    sides = (("training", quantity, SERIES[0], "--"), ("validation", f"val_{quantity}", SERIES[1], "-"))
    drawn = [(side, line) for side in sides for history in histories if (line := _points(history, side[1]))]
    if not drawn:
        return ""
    drawing = Drawing((440, 260), (52, 30, 14, 40))
    with drawing as axes:
        named: set[str] = set()
        for (name, _, colour, dashes), line in drawn:
            label = None if name in named else name
            axes.plot(
                *zip(*line, strict=True),
                color=colour,
                linestyle=dashes,
                linewidth=1.6 if len(histories) == 1 else 1.0,
                label=label,
            )
            named.add(name)
        _ring_best_epochs(axes, histories, f"val_{quantity}")
        _dress_curve(axes, quantity)
    return inline(drawing.svg, _curve_alt(histories, quantity))


def _ring_best_epochs(axes: Axes, histories: Sequence[History], quantity: str) -> None:
    best = [point for history in histories for point in _points(history, quantity) if point[0] == best_epoch(history)]
    if best:
        epochs, values = zip(*best, strict=True)
        axes.scatter(epochs, values, s=70, facecolors="none", edgecolors=INK, zorder=3, label="best epoch, kept")


def _dress_curve(axes: Axes, quantity: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.grid(visible=True, linewidth=0.6)
    if quantity == "accuracy":
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.set_ylim(bottom=min(0.0, axes.dataLim.ymin))  # that of a generator goes below nothing
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0, handlelength=1.6)


def _curve_alt(histories: Sequence[History], quantity: str) -> str:
    ends = [
        f"training {number}: {len(history)} epochs, best {best_epoch(history)}, "
        f"validation {quantity} ends at {last[-1][1]:.3g}"
        for number, history in enumerate(histories, 1)
        if (last := _points(history, f"val_{quantity}"))
    ]
    return f"Learning curve of {quantity} by epoch. " + "; ".join(ends)


def calibration_curve(bins: Sequence[ConfidenceBin]) -> str:
    """How often answers of each sureness were right, beside the line where both agree; points as large as their bins.

    bins: from the least sure to the surest.  Returns an SVG element, or "" for no bin.  Raises nothing.
    """
    if not bins:
        return ""
    drawing = Drawing((340, 300), (64, 14, 14, 40))
    total = sum(each.n for each in bins)
    with drawing as axes:
        axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1.0, linestyle="--")
        sure, right = [each.confidence for each in bins], [each.accuracy for each in bins]
        axes.plot(sure, right, color=SERIES[0], linewidth=1.4, clip_on=False)
        sizes = [12 + 160 * each.n / total for each in bins]
        axes.scatter(sure, right, s=sizes, color=SERIES[0], zorder=3, clip_on=False)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("how sure the answer was")
        axes.set_ylabel("how often it was right")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
            axis.grid(visible=True, linewidth=0.6)
        axes.set_axisbelow(True)
    said = "; ".join(f"{each.confidence:.0%} sure, {each.accuracy:.0%} right, {each.n} chunks" for each in bins)
    return inline(drawing.svg, f"Calibration: {said}")


def class_bars(rows: Sequence[tuple[str, float, int]]) -> str:
    """F1 of each class as a bar, best first, a class without a test example marked as untested.

    rows: (label, F1 0..1, support).  Returns an SVG element.  Raises nothing.
    """
    rows = sorted(rows, key=lambda row: (row[2] == 0, -row[1], row[0]))
    names = [shortened(label) for label, _, _ in rows]
    left = names_width_px(names, _FONT_PX)
    drawing = Drawing((left + 300, _ROW_PX * len(rows) + 40), (left, 4, 60, 36))
    with drawing as axes:
        axes.barh(range(len(rows)), [f1 for _, f1, _ in rows], height=0.7, color=SERIES[0])
        for place, (_, f1, support) in enumerate(rows):
            text = f"{f1:.2f}" if support else "not tested"
            axes.annotate(text, (f1, place), (4, 0), textcoords="offset points", va="center", fontsize=10)
        _dress_rows(axes, names)
        axes.set_xlim(0, 1)
        axes.set_xlabel("F1 score by chunk")
    worst = ", ".join(f"{label} {f1:.2f}" for label, f1, support in rows[::-1] if support)
    return inline(drawing.svg, f"F1 score of {len(rows)} classes, lowest first: {shortened(worst, 300)}")


def side_bars(labels: Sequence[str], counts: Mapping[str, Sequence[int]], unit: str) -> str:
    """How many examples of each class stand on each side of the split, as stacked bars, in label order.

    counts: side name -> one count a label.  unit: what is counted, `chunks` or `recordings`.
    Returns an SVG element.  Raises nothing.
    """
    names = [shortened(label) for label in labels]
    left = names_width_px(names, _FONT_PX)
    drawing = Drawing((left + 330, _ROW_PX * len(labels) + 66), (left, 30, 20, 36))
    with drawing as axes:
        start = [0] * len(labels)
        for number, (side, values) in enumerate(counts.items()):
            # beyond five sides the colours come again, told apart by their order and a hatch
            hatch = "////" if number >= len(SERIES) else None
            colour = SERIES[number % len(SERIES)]
            axes.barh(
                range(len(labels)), values, height=0.7, left=start, color=colour, label=side, hatch=hatch, linewidth=0
            )
            start = [before + value for before, value in zip(start, values, strict=True)]
        _dress_rows(axes, names)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.set_xlabel(unit)
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.02, 1.0), ncols=5, borderpad=0, handlelength=1, columnspacing=1
        )
    totals = ", ".join(f"{side} {sum(values)}" for side, values in counts.items())
    return inline(drawing.svg, f"{unit} of {len(labels)} classes on each side: {totals} in all")


def _dress_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), labels=list(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.xaxis.grid(visible=True, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def rate_timeline(rates: Sequence[tuple[float, float]], unit: str) -> str:
    """How fast the run worked, from its start to its end.

    rates: (seconds since the start, units a second), in order of time.  unit: what is counted, such as `chunks`.
    Returns an SVG element, or "" for fewer than two points.  Raises nothing.
    """
    if len(rates) < 2:
        return ""
    minutes = [seconds / 60 for seconds, _ in rates]
    values = [rate for _, rate in rates]
    drawing = Drawing((640, 180), (52, 10, 14, 40))
    with drawing as axes:
        axes.fill_between(minutes, values, step="post", color=SERIES[0], alpha=0.25, linewidth=0)
        axes.step(minutes, values, where="post", color=SERIES[0], linewidth=1.4)
        axes.set_xlabel("minutes since the start")
        axes.set_ylabel(f"{unit} a second")
        axes.set_ylim(bottom=0)
        axes.set_xlim(minutes[0], minutes[-1])
        axes.yaxis.grid(visible=True, linewidth=0.6)
    return inline(drawing.svg, f"{unit} a second over {minutes[-1]:.0f} minutes, at most {max(values):.0f}")
