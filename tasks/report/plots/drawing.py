"""A matplotlib Figure to an SVG that lives inside a page: its colours are the page's, its bytes depend on nothing else.

Colours are written as tokens that become CSS variables, so one drawing serves light, dark and printed pages.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from domain.digests import content_digest

INK = "#010101"
MUTED = "#010102"
LINE = "#010103"
# chosen after Okabe & Ito 2008, Color Universal Design: told apart with any kind of colour blindness
SERIES = ("#010111", "#010112", "#010113", "#010114", "#010115")
_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line"} | {
    token: f"--series-{number}" for number, token in enumerate(SERIES, 1)
}

_PX_PER_INCH = 72  # matplotlib's SVG unit is the point; the page reads it as a CSS pixel
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dawn chorus",
    "text.parse_math": False,  # a label may hold dollar signs
    "axes.unicode_minus": False,
    "font.size": 11.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
}
_MAX_NAME = 26


class Drawing:
    """A figure of fixed size in CSS pixels with one pair of axes; `with` it to draw, then take `svg`."""

    def __init__(self, size_px: tuple[float, float], margins_px: tuple[float, float, float, float]) -> None:
        self._size_px = size_px
        self._margins_px = margins_px
        self._settings = mpl.rc_context(_SETTINGS)
        self._quiet = warnings.catch_warnings()
        self._figure = Figure()
        self.svg = ""

    def __enter__(self) -> Axes:
        self._settings.__enter__()
        self._quiet.__enter__()
        # the page's font draws every script; the one matplotlib measures with does not, and says so
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        warnings.filterwarnings("ignore", message=".*natively support.*")
        width, height = self._size_px
        left, top, right, bottom = self._margins_px
        self._figure = Figure(figsize=(width / _PX_PER_INCH, height / _PX_PER_INCH))
        FigureCanvasAgg(self._figure)
        return self._figure.add_axes(
            (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
        )

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self.svg = self._written()
        finally:
            self._quiet.__exit__(None, None, None)
            self._settings.__exit__(None, None, None)

    def _written(self) -> str:
        target = io.StringIO()
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        self._figure.savefig(target, format="svg", transparent=True, dpi=2 * _PX_PER_INCH, metadata=metadata)
        return target.getvalue()


def inline(svg: str, alt: str, kind: str = "plot") -> str:
    """A matplotlib SVG ready to stand inside HTML: no prolog, no address, no foreign font, colours as CSS variables.

    svg: what `savefig` wrote with the tokens of this module.  alt: what the picture shows, in words.
    kind: its CSS class beside `figure`.
    Returns one `<svg>` element.  Raises nothing.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    for token, variable in _VARIABLES.items():
        svg = svg.replace(token, f"var({variable})")
    svg = _with_own_ids(re.sub(r">\s+<", "><", svg))
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2]
    opening = (
        f'<svg class="figure {kind}" role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">'
    )
    return opening + svg[svg.index(">") + 1 :].strip()


def _with_own_ids(svg: str) -> str:
    # matplotlib numbers its groups alike in every figure, and a page holds many figures
    prefix = "f" + content_digest(svg.encode())[:10]
    referenced = set(re.findall(r"(?:href=\"#|url\(#)([\w-]+)", svg))

    def renamed(match: re.Match[str]) -> str:
        return f' id="{prefix}{match[1]}"' if match[1] in referenced else ""

    svg = re.sub(r' id="([^"]+)"', renamed, svg)
    return re.sub(r"(href=\"#|url\(#)([\w-]+)", rf"\g<1>{prefix}\g<2>", svg)


def printable(text: str) -> str:
    """The text with control characters, lone surrogates and direction overrides replaced by U+FFFD; lines stay lines.

    File names may hold any of these, and a page with them is no longer valid, or reads backwards.
    """
    return "".join(sign if sign.isprintable() or sign in " \n\u00a0" else "\ufffd" for sign in text)


def shortened(name: str, longest: int = _MAX_NAME) -> str:
    """A label short enough for an axis; the cut is marked, and what cannot be printed is replaced.

    >>> shortened("Luscinia megarhynchos_Common Nightingale", 12)
    'Luscinia me…'
    """
    name = printable(" ".join(name.split()))
    return name if len(name) <= longest else name[: longest - 1] + "…"


def names_width_px(names: list[str], font_px: float) -> float:
    """Room that the longest of these names needs at this font size, generously, in CSS pixels."""
    return 14 + 0.64 * font_px * max((len(name) for name in names), default=0)
