"""Draw learning curves, calibration curves, bars per class, and rates over time, each as one inline SVG element."""

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
    """Return the first epoch (from 1) with the lowest validation loss; None if there is none.

    history: one mapping per epoch with Keras's names `loss`, `accuracy`, `val_loss`, `val_accuracy`, and optionally
    `epoch`, counted from 1.

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
    """Draw one quantity by epoch for training and validation, one pair of lines per training; mark the best epochs.

    histories: one per training, as in `best_epoch`.  quantity: `loss` or `accuracy`.
    Returns an SVG element, or "" if no history has the quantity.
    """
    subsets = (("training", quantity, SERIES[0], "--"), ("validation", f"val_{quantity}", SERIES[1], "-"))
    drawn = [(subset, line) for subset in subsets for history in histories if (line := _points(history, subset[1]))]
    if not drawn:
        return ""
    drawing = Drawing((440, 260), (52, 30, 14, 40))
    with drawing as axes:
        labelled: set[str] = set()
        for (name, _, colour, dashes), line in drawn:
            label = None if name in labelled else name
            axes.plot(
                *zip(*line, strict=True),
                color=colour,
                linestyle=dashes,
                linewidth=1.6 if len(histories) == 1 else 1.0,
                label=label,
            )
            labelled.add(name)
        _mark_best_epochs(axes, histories, f"val_{quantity}")
        _format_curve(axes, quantity)
    return inline(drawing.svg, _curve_alt(histories, quantity))


def _mark_best_epochs(axes: Axes, histories: Sequence[History], quantity: str) -> None:
    best = [point for history in histories for point in _points(history, quantity) if point[0] == best_epoch(history)]
    if best:
        epochs, values = zip(*best, strict=True)
        axes.scatter(epochs, values, s=70, facecolors="none", edgecolors=INK, zorder=3, label="best epoch")


def _format_curve(axes: Axes, quantity: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.grid(visible=True, linewidth=0.6)
    if quantity == "accuracy":
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.set_ylim(bottom=min(0.0, axes.dataLim.ymin))  # The loss of a generator can be negative.
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
    """Draw accuracy against confidence with the diagonal; the area of a point grows with its number of chunks.

    bins: by ascending confidence.  Returns an SVG element, or "" without bins.
    """
    if not bins:
        return ""
    drawing = Drawing((340, 300), (64, 14, 14, 40))
    total = sum(each.n for each in bins)
    with drawing as axes:
        axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1.0, linestyle="--")
        confidences, accuracies = [each.confidence for each in bins], [each.accuracy for each in bins]
        axes.plot(confidences, accuracies, color=SERIES[0], linewidth=1.4, clip_on=False)
        sizes = [12 + 160 * each.n / total for each in bins]
        axes.scatter(confidences, accuracies, s=sizes, color=SERIES[0], zorder=3, clip_on=False)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
            axis.grid(visible=True, linewidth=0.6)
        axes.set_axisbelow(True)
    points = (f"confidence {each.confidence:.0%}, accuracy {each.accuracy:.0%}, {each.n} chunks" for each in bins)
    return inline(drawing.svg, f"Calibration: {'; '.join(points)}")


def class_bars(rows: Sequence[tuple[str, float, int]]) -> str:
    """Draw the F1 score of each class as a bar, best first; classes without test examples are marked.

    rows: (label, F1 in 0..1, support).  Returns an SVG element.
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
        _format_rows(axes, names)
        axes.set_xlim(0, 1)
        axes.set_xlabel("F1 score by chunk")
    worst = ", ".join(f"{label} {f1:.2f}" for label, f1, support in rows[::-1] if support)
    return inline(drawing.svg, f"F1 score of {len(rows)} classes, lowest first: {shortened(worst, 300)}")


def subset_bars(labels: Sequence[str], counts: Mapping[str, Sequence[int]], unit: str) -> str:
    """Draw the number of examples per class and subset as stacked bars, in label order.

    counts: subset name -> one count per label.  unit: `chunks` or `recordings`.  Returns an SVG element.
    """
    names = [shortened(label) for label in labels]
    left = names_width_px(names, _FONT_PX)
    drawing = Drawing((left + 330, _ROW_PX * len(labels) + 66), (left, 30, 20, 36))
    with drawing as axes:
        start = [0] * len(labels)
        for number, (subset, values) in enumerate(counts.items()):
            # Beyond five subsets the colours repeat; a hatch distinguishes them.
            hatch = "////" if number >= len(SERIES) else None
            colour = SERIES[number % len(SERIES)]
            axes.barh(
                range(len(labels)), values, height=0.7, left=start, color=colour, label=subset, hatch=hatch, linewidth=0
            )
            start = [before + value for before, value in zip(start, values, strict=True)]
        _format_rows(axes, names)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.set_xlabel(unit)
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.02, 1.0), ncols=5, borderpad=0, handlelength=1, columnspacing=1
        )
    totals = ", ".join(f"{subset} {sum(values)}" for subset, values in counts.items())
    return inline(drawing.svg, f"{unit} of {len(labels)} classes per subset, in total: {totals}")


def _format_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), labels=list(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.xaxis.grid(visible=True, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def rate_timeline(rates: Sequence[tuple[float, float]], unit: str) -> str:
    """Draw the processing rate over time.

    rates: (seconds since the start, units per second), in order of time.  unit: such as `chunks`.
    Returns an SVG element, or "" for fewer than two points.
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
        axes.set_ylabel(f"{unit} per second")
        axes.set_ylim(bottom=0)
        axes.set_xlim(minutes[0], minutes[-1])
        axes.yaxis.grid(visible=True, linewidth=0.6)
    return inline(drawing.svg, f"{unit} per second over {minutes[-1]:.0f} minutes, at most {max(values):.0f}")
