"""Plots of CPU and lag over the number of waits."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures, median
from benchmarks.results import Results

_LABELS = {"ours": "this provider", "floor": "floor", "naive": "floor without common ticks"}
_STYLES = {"ours": "o-", "floor": "s--", "naive": "d:", "databricks": "^-", "dbt-cloud": "v-"}


def draw(results: Results, directory: Path) -> list[Path]:
    """Draw both plots; return none without matplotlib or data."""
    try:
        import_module("matplotlib").use("Agg")
    except ImportError:
        return []
    plots: list[tuple[str, str, Callable[[Figures], float | None]]] = [
        ("cpu-per-poll.png", "CPU per poll, ms", lambda one: None if one.cpu is None else one.cpu * 1000),
        ("lag.png", "event loop lag while waiting, p99, ms", lambda one: one.window_lag[1] * 1000),
    ]
    return [_plot(results, directory / name, title, what) for name, title, what in plots]


def _plot(results: Results, path: Path, title: str, what: Callable[[Figures], float | None]) -> Path:
    pyplot = import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(8, 4))
    for subject, style in _STYLES.items():
        points = _points(results, subject, what)
        if points:
            axes.plot(*zip(*points, strict=True), style, label=_LABELS.get(subject, subject))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(results.sizes(), [f"{size:,}" for size in results.sizes()])
    axes.set_xticks([], minor=True)
    ticker = import_module("matplotlib.ticker")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel("waits in one triggerer")
    axes.set_ylabel(title)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return path


def _points(results: Results, subject: str, what: Callable[[Figures], float | None]) -> list[tuple[Any, ...]]:
    found = [(size, median(results.of(subject, size), what)) for size in results.sizes()]
    return [(size, value) for size, value in found if value]
