"""What all pictures have in common: colours, type, axes, and how their numbers are written."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from evergreen.pages.colours import GREEN, INK, LINE, SOFT
from evergreen.pages.numbers import choose_tick_decimals, format_number, shorten_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Axis = Literal["both", "x", "y"]

DOTS_PER_INCH = 130
_METRICS = {
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "brier": "Brier score",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}


def figure(width: float, height: float, title: str, note: str = "") -> Figure:
    """An empty figure of so many inches, with its title on top and a note at the bottom, both on the left."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09)
    made = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout, facecolor="white")
    left: dict[str, Any] = {"x": 0.012, "ha": "left"}
    made.suptitle(_lines(title, int(width * 9.6)), fontsize=12, fontweight="bold", color=INK, **left)
    if note:
        made.supxlabel(_lines(note, int(width * 14.5)), fontsize=9, color=SOFT, **left)
    return made


def tidy(axes: Axes, x: str = "", y: str = "", grid: Axis | None = "both") -> Axes:
    """No frame, a pale grid, soft numbers with thousands separators."""
    from matplotlib.ticker import Formatter

    class Numbers(Formatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return format_number(x)

        def format_ticks(self, values: Sequence[float]) -> list[str]:
            """All of an axis with the same decimals."""
            return [format_number(value, choose_tick_decimals(values)) for value in values]

    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(colors=SOFT, labelsize=9, length=0, pad=5)
    axes.set_axisbelow(True)
    if grid is not None:
        axes.grid(axis=grid, color=LINE, linewidth=0.7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(Numbers())
        axis.label.set(color=SOFT, fontsize=9.5)
    axes.set_xlabel(text(x))
    axes.set_ylabel(text(y))
    return axes


def bars(title: str, values: dict[str, float], told: Sequence[str], x: str) -> Figure:
    """Horizontal bars in the given order, from top to bottom, each with its number."""
    made = figure(7.5, 0.29 * max(3, len(values)) + 1.3, title)
    axes = tidy(made.subplots(), x, grid=None)
    places = range(len(values))
    axes.barh(places, list(values.values()), height=0.66, color=GREEN)
    names(axes, "y", list(values))
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(values.values(), default=1.0) or 1.0)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    for place, (value, said) in enumerate(zip(values.values(), told, strict=True)):
        axes.annotate(
            said, (value, place), (5, 0), textcoords="offset points", va="center", fontsize=9, color=SOFT
        )
    return made


def names(axes: Axes, axis: Axis, labels: Sequence[str], most: int = 34) -> None:
    """Names instead of numbers along an axis."""
    options: dict[str, Any] = {"labels": [text(label, most) for label in labels]}
    (axes.set_xticks if axis == "x" else axes.set_yticks)(range(len(labels)), **options)
    axes.tick_params(axis=axis, labelcolor=INK)


def key(axes: Axes, **options: Any) -> None:
    """The legend, without a frame."""
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, **options)


def nothing(title: str, why: str) -> Figure:
    """A figure that says that there is nothing to draw."""
    made = figure(6, 1.6, title)
    axes = made.subplots()
    axes.axis("off")
    axes.text(0, 0.5, text(why, 90), va="center", color=SOFT, fontsize=10)
    return made


def text(given: object, most: int = 80) -> str:
    """One line, in which a dollar is a dollar and begins no formula."""
    return shorten_text(given, most).replace("$", r"\$")


def metric_name(metric: str) -> str:
    """A metric's name for people."""
    return _METRICS.get(metric, metric.replace("_", " "))


def _lines(given: object, most: int) -> str:
    """Text in at most two lines of so many characters."""
    return textwrap.fill(text(given, 2 * most), most, max_lines=2, placeholder="…")
