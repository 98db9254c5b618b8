"""Pictures as Dagster shows them: small PNGs inside of the metadata, in one style."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import cycle
from typing import TYPE_CHECKING, Any

import dagster as dg
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

if TYPE_CHECKING:  # PyTorch, which takes seconds to load, is nothing to a plot
    from models.training import TrainReport

WIDE, HIGH = 4.6, 3.0
"""Inches of one panel."""
DOTS = 100
COLOURS = 64
"""Of a picture: they stay in Dagster's storage for good, and should be small."""
INK, SOFT, LINE = "#1b2430", "#5c6776", "#0b57b8"
COLOURS_OF_LINES = (LINE, "#c4590a", "#0b6b3a")
MARKED = 40
"""A line of more points has no dots on it."""
STAGES = {"tower": "Two-tower model", "ranker": "Ranker"}
Draw = Callable[[Axes], None]


def learning(report: TrainReport) -> dg.MetadataValue:
    """Loss and validation score of each model by epoch, a panel each; a line for each time that it was trained."""
    lines: dict[str, dict[str, tuple[int, Sequence[float]]]] = {}
    for stage, by_name in report.curves.items():
        model, _, phase = stage.partition(".")
        for name, values in sorted(by_name.items(), key=lambda pair: pair[0] != "loss"):
            encoder, _, what = name.rpartition(".")
            panel = f"{STAGES.get(model, model)}: {'loss' if what == 'loss' else 'validation'}"
            line = "on all data" if phase == "all" else "before the hold-out"
            line += f", encoder {encoder}, not used" if encoder else ""
            # A score is taken before the first epoch, too.
            lines.setdefault(panel, {})[line] = (1 if what == "loss" else 0, values)
    panels = [(title, _by_epoch(title, by_line)) for title, by_line in lines.items() if _is_curve(by_line)]
    return picture("learning by epoch", panels) if panels else dg.MetadataValue.text("too few epochs for a curve")


def _is_curve(lines: Mapping[str, tuple[int, Sequence[float]]]) -> bool:
    return any(len(values) > 1 for _, values in lines.values())


def _by_epoch(title: str, lines: Mapping[str, tuple[int, Sequence[float]]]) -> Draw:
    def draw(axes: Axes) -> None:
        for colour, (name, (first, values)) in zip(cycle(COLOURS_OF_LINES), lines.items(), strict=False):
            axes.plot(range(first, first + len(values)), values, color=colour, marker="o", ms=3, label=name)
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean loss of a step" if title.endswith("loss") else "NDCG@20")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.legend(fontsize=8, frameon=False, labelcolor=SOFT)

    return draw


def popularity_curve(scores: Sequence[float]) -> dg.MetadataValue:
    """How steeply popularity falls by rank, on two logarithmic axes; what nobody watched is left out."""
    watched = [score for score in scores if score > 0]
    if not watched:
        return dg.MetadataValue.text("nobody has watched anything yet")

    def draw(axes: Axes) -> None:
        axes.loglog(range(1, len(watched) + 1), watched, color=LINE, marker="o", ms=2.5, lw=1)
        axes.set_xlabel("rank of the item")
        axes.set_ylabel("watches, decayed by age")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))

    return picture("popularity by rank", [("Popularity by rank", draw)])


def score_histogram(counts: Sequence[int], lists: int) -> dg.MetadataValue:
    """How the scores of listed items are spread: counts of equal bins from 0 to 1."""
    if not lists:
        return dg.MetadataValue.text("no list changed")
    bins = len(counts)

    def draw(axes: Axes) -> None:
        axes.bar([(place + 0.5) / bins for place in range(bins)], counts, width=0.92 / bins, color=LINE)
        axes.set_xlabel("score of an item in a list (0 to 1)")
        axes.set_ylabel("items")
        axes.set_xlim(0, 1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))

    return picture("scores of listed items", [(f"Scores in {lists:,} lists of the hour", draw)])


def over_time(moments: Sequence[datetime], panels: Mapping[str, tuple[str, Sequence[float]]]) -> dg.MetadataValue:
    """Numbers of the last publications by hour; panels: title → unit and values."""
    places = range(len(moments))
    names = [f"{moment:%H:%M}\n{moment:%-d %b}" for moment in moments]
    if not moments:
        return dg.MetadataValue.text("nothing was published yet")

    def drawn(unit: str, values: Sequence[float]) -> Draw:
        def draw(axes: Axes) -> None:
            axes.plot(places, values, color=LINE, marker="o" if len(values) <= MARKED else "", ms=3)
            axes.set_ylabel(unit)
            axes.set_xlabel("hour published (UTC)")
            axes.set_ylim(0, max(*values, 1e-9) * 1.15)
            shown = sorted({round(step * (len(names) - 1) / 4) for step in range(5)})
            axes.set_xticks(shown, [names[place] for place in shown])

        return draw

    return picture("last publications", [(title, drawn(*panel)) for title, panel in panels.items()])


def picture(alt: str, panels: Sequence[tuple[str, Draw]], columns: int = 2) -> dg.MetadataValue:
    """Panels with a title each, side by side."""
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(WIDE * across, HIGH * down), layout="constrained")
    for place, (title, draw) in enumerate(panels, start=1):
        axes: Any = figure.add_subplot(down, across, place)
        draw(axes)
        axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
        axes.grid(color=SOFT, alpha=0.2)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=SOFT)
        axes.xaxis.label.set(color=SOFT, fontsize=9)
        axes.yaxis.label.set(color=SOFT, fontsize=9)
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(small, format="png", optimize=True)
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(small.getvalue()).decode()})")
