"""A difference with its interval as a small picture, so that a column of them is read at a glance."""

from __future__ import annotations

import html
from collections.abc import Iterable

from tasks.report.scoring.pairing import Comparison

_WIDTH, _HEIGHT, _EDGE = 170, 18, 6
_STEPS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def reach_of(bounds: Iterable[tuple[float, float]]) -> float:
    """How far the common scale of several intervals reaches on both sides of nothing, 0..1.

    >>> reach_of([(-0.03, 0.08), (0.0, 0.12)]), reach_of([])
    (0.2, 0.05)
    """
    furthest = max((max(abs(low), abs(high)) for low, high in bounds), default=0.0)
    return next((step for step in _STEPS if furthest <= step), _STEPS[-1])


def effect_figure(found: Comparison, reach: float) -> str:
    """A difference as a point on its interval, across a line that marks nothing, as an SVG element.

    reach: the share at the right edge, above 0; the left edge is as far below nothing.
    Raises nothing.
    """
    difference, interval = found.difference, found.interval
    low, high = (_x(bound, reach) for bound in interval)
    middle, centre = _HEIGHT / 2, _x(0.0, reach)
    alt = f"{100 * difference:+.1f} points, from {100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}"
    return (
        f'<svg class="figure effect" role="img" aria-label="{html.escape(alt)}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f'<path class="nothing" d="M{centre:.1f} 0v{_HEIGHT}"/>'
        f'<path class="range" d="M{low:.1f} {middle:g}H{high:.1f}"/>'
        f'<circle cx="{_x(difference, reach):.1f}" cy="{middle:g}" r="4"/></svg>'
    )


def _x(share: float, reach: float) -> float:
    return _EDGE + (_WIDTH - 2 * _EDGE) * (max(-1.0, min(1.0, share / reach)) + 1) / 2
