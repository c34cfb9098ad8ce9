"""The figures of a search's report. Computes no effect."""

from collections.abc import Iterator, Sequence

import numpy as np

from mien.pages.charts import RIGHT
from mien.pages.figures import (
    SMALL,
    TITLE_HEIGHT,
    axes_at,
    canvas,
    new_figure,
    text_width,
    title,
    write_at,
)
from mien.pages.legend import Series, legend
from mien.pages.report import Report
from mien.pages.theme import LIGHT
from mien.text import shortened
from mien.tune.effects import (
    FEWEST_TRIALS,
    GRID,
    Importance,
    having,
    pairs,
    place,
    places,
    smooth_line,
    surface,
)
from mien.tune.study import Axis, Study, Trial
from mien.tune.text import busy, number, objective, sessions

LEFT, TALL = 52, 200
BANDS = 8
MOST_PAIRS, MOST_SLICES, MOST_ROWS = 28, 24, 24
LONGEST_NAME, LONGEST_STEM = 18, 40  # characters of a parameter, in a figure and in a file's name
BEST_SHARE = 0.1  # of the trials that parallel coordinates stress
MUTED = {"fontsize": SMALL, "color": LIGHT["muted"]}
FIRST, SECOND = LIGHT["series1"], LIGHT["series2"]
BEST = {"marker": "D", "color": SECOND, "markersize": 7, "linestyle": "", "zorder": 6, "clip_on": False}
STATES = {"complete": FIRST, "pruned": LIGHT["series5"], "failed": SECOND}


def draw(report: Report, study: Study, ranked: Sequence[Importance]) -> None:
    """Draw the figures by section; draw inside `themed()`."""
    sections = {
        "history": [_history(study), _curves(study), _workers(study)],
        "front": _fronts(study),
        "importances": [_importances(study, ranked), _parallel(study)],
        "contours": _contours(study, ranked),
        "slices": _slices(study, ranked),
    }
    for section, figures in sections.items():
        for figure, name, label in filter(None, figures):
            report.draw(section, figure, name, label)


def limits(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return an axis's ends: all finite values, but none far beyond the quartiles."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.quantile(finite, (0.25, 0.75))
    reach = 3 * max(high - low, 1e-9 + 1e-6 * abs(high))
    low, high = max(min(finite), low - reach), min(max(finite), high + reach)
    room = 0.06 * (high - low) or 0.06 * max(1.0, abs(high))
    return low - room, high + room


def _set_ticks(which, axis: Axis) -> None:
    """Set an axis's ticks at their places, 0 to 1, with their texts."""
    from matplotlib.ticker import MaxNLocator

    if axis.choices:
        which.set_ticks([place(axis, c) for c in axis.choices], [shortened(str(c), 9) for c in axis.choices])
        return
    values = np.linspace(axis.low, axis.high, 2)
    if axis.log and axis.high / axis.low > 30:
        ends = np.log10(axis.low) - 1e-9, np.log10(axis.high) + 1e-9
        exponents = np.arange(np.ceil(ends[0]), np.floor(ends[1]) + 1)
        values = 10 ** exponents[:: max(1, len(exponents) // 4)]
    elif axis.log:
        values = np.geomspace(axis.low, axis.high, 4)
    elif axis.high > axis.low:
        values = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=axis.whole).tick_values(axis.low, axis.high)
    values = [float(v) for v in values if axis.low <= v <= axis.high]
    which.set_ticks([place(axis, v) for v in values], [number(v) for v in values])


def _framed(main: str, rest: str, entries: Sequence[Series] = (), height: float = TALL, unit: str = ""):
    """Return a figure with its title, a legend and axes, and the row below the axes."""
    head = TITLE_HEIGHT + (22 if entries else 12)
    figure = new_figure(head + height + 42)
    title(figure, main, rest)
    if entries:
        legend(canvas(figure), TITLE_HEIGHT + 10, entries)
    axes = axes_at(figure, LEFT, head, RIGHT - LEFT, height)
    write_at(figure, RIGHT, head + height + 36, unit, ha="right", **MUTED)
    return figure, axes


def _values(trials: Sequence[Trial], which: int = 0) -> np.ndarray:
    return np.array([trial.values[which] for trial in trials])


def _history(study: Study):
    done, stopped = study.of_state("complete"), [t for t in study.of_state("pruned") if t.values]
    if not done:
        return None
    entries = [Series("complete", FIRST, "o"), Series("best so far", SECOND, "_")]
    entries += [Series("pruned, last value", STATES["pruned"], "x")] * bool(stopped)
    figure, axes = _framed("History", f"{objective(study)} by trial", entries, unit="trial")
    low, high = limits(_values(done + stopped))
    for trials, marker, color in ((done, "o", FIRST), (stopped, "x", STATES["pruned"])):
        numbers = [t.number for t in trials]
        axes.plot(numbers, _values(trials).clip(low, high), marker, color=color, markersize=4)
    best = (np.maximum if study.maximized[0] else np.minimum).accumulate(_values(done))
    axes.step([t.number for t in done], best, where="post", color=SECOND)
    axes.set_ylim(low, high)
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y")
    return figure, "history", f"{objective(study)} of every trial in the order of trials"


def _curves(study: Study):
    trials = [t for t in study.of_state("complete", "pruned") if len(t.curve) > 1]
    if not trials:
        return None
    entries = [Series("best", SECOND, "_"), *(Series(s, STATES[s], "_") for s in ("complete", "pruned"))]
    figure, axes = _framed("Learning curves", objective(study), entries, unit="epoch")
    for trial in trials:
        style = {"color": STATES[trial.state], "linewidth": 1, "alpha": 0.55}
        if trial in study.ranked()[:1]:
            style = {"color": SECOND, "linewidth": 2.2, "zorder": 5}
        axes.plot(list(trial.curve), list(trial.curve.values()), **style)
    axes.set_ylim(limits([value for trial in trials for value in trial.curve.values()]))
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y")
    return figure, "curves", f"{objective(study)} by epoch, a line a trial"


def _fronts(study: Study) -> Iterator:
    done = study.of_state("complete")
    for other in range(1, len(study.objectives) if done else 1):
        both = f"{objective(study)} against {objective(study, other)}"
        entries = [Series("trials", LIGHT["muted"], "o"), Series("on the front", FIRST, "o")]
        unit = objective(study, other)
        figure, axes = _framed(both.capitalize(), "complete trials", entries, unit=unit)
        front = sorted(study.front(), key=lambda trial: trial.values[other])
        axes.plot(_values(done, other), _values(done), "o", color=LIGHT["muted"], alpha=0.6, markersize=4)
        axes.plot(_values(front, other), _values(front), "o-", color=FIRST, markersize=5.5, linewidth=1)
        axes.set_ylim(limits(_values(done)))
        axes.locator_params(nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: number(value))
        axes.grid()
        yield figure, f"front-{other}", f"{both}, with the front"


def _importances(study: Study, ranked: Sequence[Importance]):
    if not ranked:
        return None
    rows = ranked[:MOST_ROWS]
    entries = [Series("share", FIRST, "s"), Series("95 % of what chance gives", SECOND, "|")]
    height = TITLE_HEIGHT + 30 + 26 * len(rows)
    figure = new_figure(height)
    title(figure, "Importance", f"each parameter's share, for the best tenth by {objective(study)}")
    axes = canvas(figure)
    top = legend(axes, TITLE_HEIGHT + 10, entries)
    left = 14 + _widest(each.axis for each in rows)
    scale = (RIGHT - left - 30) / max(1.0, *(each.by_chance for each in rows))
    for y, each in zip(top + 12 + 26 * np.arange(len(rows)), rows, strict=True):
        axes.text(left - 8, y, shortened(each.axis.short, LONGEST_NAME), ha="right", va="center")
        axes.barh(y, each.share * scale, 13, left=left, color=FIRST)
        axes.plot([left + each.by_chance * scale] * 2, [y - 9, y + 9], color=SECOND, linewidth=1.6)
        end = left + max(each.share, each.by_chance) * scale
        axes.text(end + 5, y, f"{100 * each.share:.0f}%", va="center", **MUTED)
    axes.set(xlim=(0, 360), ylim=(height, 0))
    return figure, "importances", "The importance of each parameter"


def _widest(axes: Iterator[Axis]) -> float:
    return max(text_width(shortened(axis.short, LONGEST_NAME)) for axis in axes)


def _parallel(study: Study):
    """Draw a row an axis, so that many of them fit a phone; a line a trial runs down through its values."""
    drawn = [axis for axis in study.axes if having(study, axis)][:MOST_ROWS]
    done = study.ranked()
    if len(done) < 2 or not drawn:
        return None
    ends = limits(_values(done))
    step, rows = 34, [Axis(objective(study), *ends), *drawn]
    figure = new_figure(TITLE_HEIGHT + 18 + step * len(rows))
    title(figure, "Every trial", "a line a trial, from its value down through its parameters")
    over = canvas(figure)
    stressed = max(3, round(BEST_SHARE * len(done)))
    entries = [Series(f"the best {stressed}", FIRST, "_"), Series("all others", LIGHT["muted"], "_")]
    tops = legend(over, TITLE_HEIGHT + 10, entries) + 10 + step * np.arange(len(rows))
    left = 16 + _widest(iter(rows))
    for axis, y in zip(rows, tops, strict=True):
        over.hlines(y, left, RIGHT, color=LIGHT["faint"], linewidth=0.8)
        span = (axis.choices[0], axis.choices[-1]) if axis.choices else (axis.low, axis.high)
        ends_text = " to ".join(number(end) if isinstance(end, float) else str(end) for end in span)
        over.text(left - 10, y - 6, shortened(axis.short, LONGEST_NAME), ha="right", va="center")
        over.text(left - 10, y + 7, shortened(ends_text, LONGEST_NAME), ha="right", va="center", **MUTED)
    for rank, trial in reversed(list(enumerate(done))):
        values = {**trial.params, objective(study): np.clip(trial.values[0], *ends)}
        there = [i for i, axis in enumerate(rows) if axis.name in values]
        at = [left + place(rows[i], values[rows[i].name]) * (RIGHT - left) for i in there]
        style = {"color": LIGHT["muted"], "linewidth": 0.7, "alpha": 0.3}
        if rank < stressed:
            style = {"color": FIRST, "linewidth": 1.4, "alpha": 0.9}
        over.plot(at, tops[there], **style)
    return figure, "parallel", "Parallel coordinates of every complete trial"


def _contours(study: Study, ranked: Sequence[Importance]) -> Iterator:
    stems = _stems(study)
    for first, second in pairs(study, ranked)[:MOST_PAIRS]:
        trials = having(study, first, second)
        if len(trials) < FEWEST_TRIALS:
            continue
        x, y, values = places(trials, second), places(trials, first), _values(trials)
        rest = f"{objective(study)}, the stronger the better"
        figure, axes = _framed(f"{first.short} and {second.short}", rest, unit=second.short)
        _bands(axes, surface(x, y, values.clip(*limits(values))), study.maximized[0])
        axes.plot(x, y, "o", color=LIGHT["ink"], markersize=2.6, clip_on=False)
        best = int(np.argmax(values if study.maximized[0] else -values))
        axes.plot(x[best], y[best], **BEST)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        _set_ticks(axes.xaxis, second)
        _set_ticks(axes.yaxis, first)
        label = f"{objective(study)} over {first.short} and {second.short}"
        yield figure, f"contour-{stems[first]}-{stems[second]}", label


def _stems(study: Study) -> dict[Axis, str]:
    """Return what stands for each parameter in the name of a file: short, of plain letters, and its own."""
    stems: dict[Axis, str] = {}
    for place_, axis in enumerate(study.axes, start=1):
        stem = "".join(c if c.isalnum() and c.isascii() else "-" for c in axis.name.lower())[:LONGEST_STEM]
        stems[axis] = f"{stem}-{place_}" if stem in stems.values() else stem
    return stems


def _bands(axes, smooth: np.ndarray, maximized: bool) -> None:
    """Fill a surface in bands of equal area, the best the strongest, with lines between."""
    edges = np.unique(np.quantile(smooth, np.linspace(0, 1, BANDS + 1)))
    if len(edges) < 3:
        return
    ticks = np.linspace(0, 1, GRID)
    shades = np.linspace(0.75, 0.03, len(edges) - 1)[:: -1 if maximized else 1]
    for low, high, shade in zip(edges, edges[1:], shades, strict=False):
        axes.contourf(ticks, ticks, smooth, [low, high], colors=[LIGHT["more"]], alpha=shade)
    drawn = axes.contour(ticks, ticks, smooth, edges[1:-1], colors=[LIGHT["paper"]], linewidths=0.5)
    levels = drawn.levels[:: max(1, len(drawn.levels) // 3)]
    for text in axes.clabel(drawn, levels, fontsize=8, colors=[LIGHT["ink"]], fmt=number):
        if not all(0.07 < at < 0.93 for at in text.get_position()):
            text.remove()  # it would be cut off


def _slices(study: Study, ranked: Sequence[Importance]) -> Iterator:
    stems = _stems(study)
    for axis in (each.axis for each in ranked[:MOST_SLICES]):
        trials = having(study, axis)
        x, values = places(trials, axis), _values(trials)
        low, high = limits(values)
        figure, axes = _framed(axis.short, objective(study), height=140, unit=axis.short)
        values = values.clip(low, high)
        axes.plot(x, values, "o", color=FIRST, alpha=0.7, markersize=4.5, clip_on=False)
        if not axis.choices:
            axes.plot(np.linspace(0, 1, GRID), smooth_line(x, values), color=LIGHT["muted"], linewidth=1.2)
        best = study.ranked()[0]
        if best in trials:
            axes.plot(place(axis, best.params[axis.name]), best.values[0], **BEST)
        axes.set(xlim=(-0.02, 1.02), ylim=(low, high))
        _set_ticks(axes.xaxis, axis)
        axes.grid(axis="y")
        yield figure, f"slice-{stems[axis]}", f"{objective(study)} by {axis.short}"


def _workers(study: Study):
    spans = sessions(study)
    clock, work = busy(spans)
    if not len(clock) or work[-1] == 0:
        return None
    names = list(dict.fromkeys(worker for worker, *_ in spans))[:MOST_ROWS]
    units = {"hours": 3600, "minutes": 60, "seconds": 1}
    unit = next((unit for unit, seconds in units.items() if work[-1] > 2 * seconds), "seconds")
    entries = [Series(state, STATES[state], "s") for state in STATES if study.of_state(state)]
    rest, height = "trials by worker, without the time that nobody worked", 24 * len(names) + 8
    figure, axes = _framed("Workers", rest, entries, height=height, unit=f"{unit} of work")
    end = work[-1] / units[unit]
    for worker, begun, ended, state in (span for span in spans if span[0] in names):
        at, to = np.interp([begun.timestamp(), ended.timestamp()], clock, work) / units[unit]
        style = {"color": STATES[state], "edgecolor": LIGHT["paper"], "linewidth": 0.6}
        axes.barh(names.index(worker), max(to - at, end / 400), 0.62, left=at, **style)
    axes.set(xlim=(0, end), ylim=(len(names) - 0.4, -0.6))
    axes.set_yticks(range(len(names)), [str(i + 1) for i in range(len(names))])
    return figure, "workers", "Which worker trained when"
