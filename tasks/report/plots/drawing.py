"""Convert matplotlib figures to inline SVG with deterministic bytes.

Colours are tokens that become CSS variables, so that one drawing suits light, dark and printed pages.
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
# Chosen after Okabe & Ito 2008, Color Universal Design, to be distinguishable with any colour blindness.
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
_MAX_NAME_LENGTH = 26


class Drawing:
    """A context manager for a figure of fixed size with one pair of axes; read `svg` after it.

    size_px: width and height in CSS pixels.  margins_px: left, top, right and bottom.
    """

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
        # matplotlib measures text with a font that lacks some scripts and warns; the page's font has them.
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
                self.svg = self._to_svg()
        finally:
            self._quiet.__exit__(None, None, None)
            self._settings.__exit__(None, None, None)

    def _to_svg(self) -> str:
        target = io.StringIO()
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        self._figure.savefig(target, format="svg", transparent=True, dpi=2 * _PX_PER_INCH, metadata=metadata)
        return target.getvalue()


def inline(svg: str, alt: str, kind: str = "plot") -> str:
    """Make a matplotlib SVG embeddable in HTML: no prolog, addresses or fonts, and colours as CSS variables.

    svg: output of `savefig` with the colour tokens of this module.  alt: description of the figure.
    kind: its CSS class in addition to `figure`.
    Returns one `<svg>` element.
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
    # matplotlib uses the same ids in every figure; a page with several figures needs unique ones.
    prefix = "f" + content_digest(svg.encode())[:10]
    referenced = set(re.findall(r"(?:href=\"#|url\(#)([\w-]+)", svg))

    def renamed(match: re.Match[str]) -> str:
        return f' id="{prefix}{match[1]}"' if match[1] in referenced else ""

    svg = re.sub(r' id="([^"]+)"', renamed, svg)
    return re.sub(r"(href=\"#|url\(#)([\w-]+)", rf"\g<1>{prefix}\g<2>", svg)


def printable(text: str) -> str:
    """Replace control characters, lone surrogates and direction overrides with U+FFFD; keep line breaks.

    File names may contain them; they make a page invalid or change the reading direction.
    """
    return "".join(character if character.isprintable() or character in " \n\u00a0" else "\ufffd" for character in text)


def shortened(name: str, longest: int = _MAX_NAME_LENGTH) -> str:
    """Shorten a label for an axis, marking the cut, and replace unprintable characters.

    >>> shortened("Luscinia megarhynchos_Common Nightingale", 12)
    'Luscinia me…'
    """
    name = printable(" ".join(name.split()))
    return name if len(name) <= longest else name[: longest - 1] + "…"


def names_width_px(names: list[str], font_px: float) -> float:
    """Return the width in CSS pixels that fits the longest of these names at this font size."""
    return 14 + 0.64 * font_px * max((len(name) for name in names), default=0)
