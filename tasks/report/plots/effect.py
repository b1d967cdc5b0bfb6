"""Draw a difference with its confidence interval as a small figure for a table cell."""

from __future__ import annotations

import html
from collections.abc import Iterable

from tasks.report.scoring.pairing import Comparison

_WIDTH, _HEIGHT, _EDGE = 170, 18, 6
_STEPS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def axis_limit(bounds: Iterable[tuple[float, float]]) -> float:
    """Return a common axis limit for several intervals, 0..1.

    >>> axis_limit([(-0.03, 0.08), (0.0, 0.12)]), axis_limit([])
    (0.2, 0.05)
    """
    furthest = max((max(abs(low), abs(high)) for low, high in bounds), default=0.0)
    return next((step for step in _STEPS if furthest <= step), _STEPS[-1])


def effect_figure(comparison: Comparison, limit: float) -> str:
    """Draw a difference as a point on its interval, with a line at zero.

    limit: the axis covers -limit..limit, > 0.  Returns an SVG element.
    """
    difference, interval = comparison.difference, comparison.interval
    low, high = (_x(bound, limit) for bound in interval)
    middle, centre = _HEIGHT / 2, _x(0.0, limit)
    alt = f"{100 * difference:+.1f} points, from {100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}"
    return (
        f'<svg class="figure effect" role="img" aria-label="{html.escape(alt)}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f'<path class="zero" d="M{centre:.1f} 0v{_HEIGHT}"/>'
        f'<path class="range" d="M{low:.1f} {middle:g}H{high:.1f}"/>'
        f'<circle cx="{_x(difference, limit):.1f}" cy="{middle:g}" r="4"/></svg>'
    )


def _x(share: float, limit: float) -> float:
    return _EDGE + (_WIDTH - 2 * _EDGE) * (max(-1.0, min(1.0, share / limit)) + 1) / 2
