"""Draws every figure of a search's report. Finds and computes nothing."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from mien.pages.charts import RIGHT
from mien.pages.figures import (
    SMALL,
    TITLE_HEIGHT,
    Drawn,
    axes_at,
    canvas,
    new_figure,
    save,
    text_width,
    title,
    write_at,
)
from mien.pages.legend import Series, legend
from mien.pages.theme import LIGHT
from mien.text import MINUS, shortened
from mien.tune.report.effects import (
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

LEFT, TALL = 52, 200
BANDS = 8
MOST_PAIRS, MOST_SLICES, MOST_ROWS = 28, 24, 24
BEST_SHARE = 0.1  # of the trials that parallel coordinates stress
QUIET = {"fontsize": SMALL, "color": LIGHT["muted"]}
BEST = {"marker": "D", "color": LIGHT["series2"], "markersize": 7, "linestyle": "", "zorder": 6}
STATES = {"complete": LIGHT["series1"], "pruned": LIGHT["series5"], "failed": LIGHT["series2"]}


def draw(study: Study, ranked: Sequence[Importance], folder: Path) -> dict[str, list[Drawn]]:
    """Draw, write and return the figures by section; draw inside `themed()`."""
    return {
        "history": [*_history(study, folder), *_curves(study, folder), *_workers(study, folder)],
        "front": list(_fronts(study, folder)),
        "importances": [*_importances(study, ranked, folder), *_parallel(study, folder)],
        "contours": list(_contours(study, ranked, folder)),
        "slices": list(_slices(study, ranked, folder)),
    }


def number(value: float, digits: int = 3) -> str:
    """Return a value with so many digits, as short as they allow."""
    return f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e").replace("-", MINUS)


def told(study: Study, objective: int = 0) -> str:
    """Return an objective's name in words."""
    return study.objectives[objective].replace("multiply_adds", "multiply-adds").replace("_", " ")


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Return an axis's ends: all finite values, but none far beyond the quartiles."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, (0.25, 0.75))
    reach = 3 * max(high - low, 1e-9 + 1e-6 * abs(high))
    low, high = max(min(values), low - reach), min(max(values), high + reach)
    room = 0.06 * (high - low) or 0.06 * max(1.0, abs(high))
    return low - room, high + room


def _ticks(axis: Axis) -> tuple[list[float], list[str]]:
    """Return the places of an axis's ticks, 0 to 1, and their texts."""
    if axis.choices:
        return [place(axis, c) for c in axis.choices], [shortened(str(c), 9) for c in axis.choices]
    if axis.log and axis.high / axis.low > 30:
        exponents = range(
            int(np.ceil(np.log10(axis.low) - 1e-9)), int(np.floor(np.log10(axis.high) + 1e-9)) + 1
        )
        values = [10.0**e for e in list(exponents)[:: max(1, len(exponents) // 4)]]
    elif axis.log:
        values = np.geomspace(axis.low, axis.high, 4).tolist()
    else:
        from matplotlib.ticker import MaxNLocator

        found = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=axis.whole).tick_values(axis.low, axis.high)
        values = [v for v in found.tolist() if axis.low <= v <= axis.high]
    return [place(axis, v) for v in values], [number(v) for v in values]


def _framed(main: str, rest: str, entries: Sequence[Series] = (), height: float = TALL, unit: str = ""):
    """Return a figure with its title, a legend and axes, and the row below the axes."""
    head = TITLE_HEIGHT + (22 if entries else 12)
    figure = new_figure(head + height + 42)
    title(figure, main, rest)
    if entries:
        legend(canvas(figure), TITLE_HEIGHT + 10, entries)
    axes = axes_at(figure, LEFT, head, RIGHT - LEFT, height)
    if unit:
        write_at(figure, RIGHT, head + height + 36, unit, ha="right", **QUIET)
    return figure, axes


def _set_ticks(which, axis: Axis) -> None:
    spots, texts = _ticks(axis)
    which.set_ticks(spots, texts)


def _values(trials: Sequence[Trial], objective: int = 0) -> np.ndarray:
    return np.array([trial.values[objective] for trial in trials])


def _history(study: Study, folder: Path) -> Iterator[Drawn]:
    done, stopped = study.of_state("complete"), [t for t in study.of_state("pruned") if t.values]
    if not done:
        return
    look = [Series("complete", STATES["complete"], "o"), Series("best so far", LIGHT["series2"], "_")]
    look += [Series("pruned, last value", STATES["pruned"], "x")] * bool(stopped)
    figure, axes = _framed("History", f"{told(study)} by trial", look, unit="trial")
    low, high = limits(_values(done + stopped))
    for trials, marker, color in ((done, "o", STATES["complete"]), (stopped, "x", STATES["pruned"])):
        axes.plot(
            [t.number for t in trials], _values(trials).clip(low, high), marker, color=color, markersize=4
        )
    best = np.maximum if study.maximized[0] else np.minimum
    axes.step([t.number for t in done], best.accumulate(_values(done)), where="post", color=LIGHT["series2"])
    axes.set_ylim(low, high)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y")
    yield save(figure, folder, "history", f"{told(study)} of every trial in the order of trials")


def _curves(study: Study, folder: Path) -> Iterator[Drawn]:
    with_curve = [t for t in study.of_state("complete", "pruned") if len(t.curve) > 1]
    if not with_curve:
        return
    best = study.ranked()[:1]
    look = [Series("best", LIGHT["series2"], "_"), Series("complete", STATES["complete"], "_")]
    figure, axes = _framed(
        "Learning curves", told(study), [*look, Series("pruned", STATES["pruned"], "_")], unit="epoch"
    )
    for trial in with_curve:
        mine = trial in best
        color = LIGHT["series2"] if mine else STATES[trial.state]
        options = {"linewidth": 2.2 if mine else 1, "alpha": 1 if mine else 0.55, "zorder": 5 if mine else 2}
        axes.plot(list(trial.curve), list(trial.curve.values()), color=color, **options)
    axes.set_ylim(limits([value for trial in with_curve for value in trial.curve.values()]))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y")
    yield save(figure, folder, "curves", f"{told(study)} by epoch, a line a trial")


def _fronts(study: Study, folder: Path) -> Iterator[Drawn]:
    done = study.of_state("complete")
    for other in range(1, len(study.objectives) if done else 1):
        look = [Series("trials", LIGHT["muted"], "o"), Series("on the front", LIGHT["series1"], "o")]
        figure, axes = _framed(
            f"{told(study)} against {told(study, other)}".capitalize(),
            "complete trials",
            look,
            unit=told(study, other),
        )
        front = sorted(study.front(), key=lambda trial: trial.values[other])
        axes.plot(_values(done, other), _values(done), "o", color=LIGHT["muted"], alpha=0.6, markersize=4)
        axes.plot(
            _values(front, other), _values(front), "o-", color=LIGHT["series1"], markersize=5.5, linewidth=1
        )
        axes.set_ylim(limits(_values(done)))
        axes.locator_params(nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: number(value))
        axes.grid()
        yield save(
            figure, folder, f"front-{other}", f"{told(study)} against {told(study, other)}, with the front"
        )


def _importances(study: Study, ranked: Sequence[Importance], folder: Path) -> Iterator[Drawn]:
    if not ranked:
        return
    rows = ranked[:MOST_ROWS]
    look = [
        Series("explained", LIGHT["series1"], "s"),
        Series("95 % of what chance explains", LIGHT["series2"], "|"),
    ]
    height = TITLE_HEIGHT + 24 + 26 * len(rows) + 6
    figure = new_figure(height)
    title(figure, "Importance", f"share of the ranked {told(study)} that a parameter explains")
    axes = canvas(figure)
    top = legend(axes, TITLE_HEIGHT + 10, look)
    left = 14 + max(text_width(shortened(each.axis.short, 18)) for each in rows)
    room = RIGHT - left - 30
    for i, each in enumerate(rows):
        y = top + 26 * i + 12
        axes.text(left - 8, y, shortened(each.axis.short, 18), ha="right", va="center")
        axes.barh(y, each.share * room, 13, left=left, color=LIGHT["series1"])
        axes.plot([left + each.by_chance * room] * 2, [y - 9, y + 9], color=LIGHT["series2"], linewidth=1.6)
        end = left + max(each.share, each.by_chance) * room
        axes.text(end + 5, y, f"{100 * each.share:.0f}%", va="center", **QUIET)
    axes.set(xlim=(0, 360), ylim=(height, 0))
    yield save(figure, folder, "importances", "How much of the value each parameter explains")


def _parallel(study: Study, folder: Path) -> Iterator[Drawn]:
    """Draw a row an axis, so that many of them fit a phone; a line a trial runs down through its values."""
    axes_drawn = [axis for axis in study.axes if having(study, axis)][:MOST_ROWS]
    done = study.ranked()
    if len(done) < 2 or not axes_drawn:
        return
    ends = limits(_values(done))
    step, rows = 34, [Axis(told(study), *ends), *axes_drawn]
    figure = new_figure(TITLE_HEIGHT + 18 + step * len(rows))
    title(figure, "Every trial", "a line a trial, from its value down through its parameters")
    over = canvas(figure)
    stressed = max(3, round(BEST_SHARE * len(done)))
    look = [Series(f"the best {stressed}", LIGHT["series1"], "_"), Series("all others", LIGHT["muted"], "_")]
    tops = legend(over, TITLE_HEIGHT + 10, look) + 10 + step * np.arange(len(rows))
    left = 16 + max(text_width(shortened(axis.short, 18)) for axis in rows)
    for axis, y in zip(rows, tops, strict=True):
        over.hlines(y, left, RIGHT, color=LIGHT["faint"], linewidth=0.8)
        span = (axis.choices[0], axis.choices[-1]) if axis.choices else (axis.low, axis.high)
        words = " to ".join(number(end) if isinstance(end, float) else str(end) for end in span)
        over.text(left - 10, y - 6, shortened(axis.short, 18), ha="right", va="center")
        over.text(left - 10, y + 7, shortened(words, 18), ha="right", va="center", **QUIET)
    for rank, trial in reversed(list(enumerate(done))):
        values = {told(study): np.clip(trial.values[0], *ends), **trial.params}
        there = [i for i, axis in enumerate(rows) if axis.name in values]
        at = [left + place(rows[i], values[rows[i].name]) * (RIGHT - left) for i in there]
        best = rank < stressed
        style = {"color": LIGHT["series1" if best else "muted"], "linewidth": 1.4 if best else 0.7}
        over.plot(at, tops[there], alpha=0.9 if best else 0.3, **style)
    yield save(figure, folder, "parallel", "Parallel coordinates of every complete trial")


def _contours(study: Study, ranked: Sequence[Importance], folder: Path) -> Iterator[Drawn]:
    for first, second in pairs(study, ranked)[:MOST_PAIRS]:
        trials = having(study, first, second)
        if len(trials) < FEWEST_TRIALS:
            continue
        x, y, values = places(trials, second), places(trials, first), _values(trials)
        figure, axes = _framed(
            f"{first.short} and {second.short}", f"{told(study)}, the stronger the better", unit=second.short
        )
        _bands(axes, surface(x, y, values.clip(*limits(values))), study.maximized[0])
        axes.plot(x, y, "o", color=LIGHT["ink"], markersize=2.6, clip_on=False)
        best = min(range(len(trials)), key=lambda i: -values[i] if study.maximized[0] else values[i])
        axes.plot(x[best], y[best], **BEST, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        _set_ticks(axes.xaxis, second)
        _set_ticks(axes.yaxis, first)
        name = f"contour-{_file(first)}-{_file(second)}"
        yield save(figure, folder, name, f"{told(study)} over {first.short} and {second.short}")


def _file(axis: Axis) -> str:
    return "".join(c if c.isalnum() else "-" for c in axis.name.lower())


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
    shown = drawn.levels[:: max(1, len(drawn.levels) // 3)]
    for text in axes.clabel(drawn, shown, fontsize=8, colors=[LIGHT["ink"]], fmt=number):
        if not all(0.07 < at < 0.93 for at in text.get_position()):
            text.remove()  # it would be cut off


def _slices(study: Study, ranked: Sequence[Importance], folder: Path) -> Iterator[Drawn]:
    for each in ranked[:MOST_SLICES]:
        trials = having(study, each.axis)
        x, values = places(trials, each.axis), _values(trials)
        low, high = limits(values)
        figure, axes = _framed(each.axis.short, told(study), height=140, unit=each.axis.short)
        axes.plot(
            x, values.clip(low, high), "o", color=LIGHT["series1"], alpha=0.7, markersize=4.5, clip_on=False
        )
        if not each.axis.choices:
            axes.plot(
                np.linspace(0, 1, GRID),
                smooth_line(x, values.clip(low, high)),
                color=LIGHT["muted"],
                linewidth=1.2,
            )
        best = study.ranked()[0]
        if best in trials:
            axes.plot(place(each.axis, best.params[each.axis.name]), best.values[0], **BEST, clip_on=False)
        axes.set(xlim=(-0.02, 1.02), ylim=(low, high))
        _set_ticks(axes.xaxis, each.axis)
        axes.grid(axis="y")
        yield save(figure, folder, f"slice-{_file(each.axis)}", f"{told(study)} by {each.axis.short}")


def sessions(study: Study) -> list[tuple[str, datetime, datetime, str]]:
    """Return who worked on a trial from when to when, and how the trial ended; of other searches one worker."""
    found = []
    for trial in study.of_state(*STATES):
        if "sessions" in trial.notes:
            spans = [(w, *map(datetime.fromisoformat, (a, b))) for w, a, b in trial.notes["sessions"] if b]
        else:
            spans = [("worker", trial.begun, trial.ended)] if trial.begun and trial.ended else []
        found += [(*span, trial.state) for span in spans]
    return found


def busy(spans: Sequence[tuple]) -> tuple[np.ndarray, np.ndarray]:
    """Return moments, in seconds of the clock, and the seconds of work till then: pauses of all workers drop out."""
    clock, work, end = [], [], -np.inf
    done = 0.0
    for begun, ended in sorted(
        (a.timestamp(), b.timestamp()) for _, a, b, state in spans if state != "failed"
    ):
        if begun > end:
            clock, work, end = [*clock, begun], [*work, done], begun
        done, end = done + max(0.0, ended - end), max(end, ended)
        clock, work = [*clock, end], [*work, done]
    return np.array(clock), np.array(work)


def _workers(study: Study, folder: Path) -> Iterator[Drawn]:
    spans = sessions(study)
    clock, work = busy(spans)
    if not len(clock) or work[-1] == 0:
        return
    names = list(dict.fromkeys(worker for worker, *_ in spans))[:MOST_ROWS]
    units = {"hours": 3600, "minutes": 60, "seconds": 1}
    unit, seconds = next(((u, s) for u, s in units.items() if work[-1] > 2 * s), ("seconds", 1))
    look = [Series(state, STATES[state], "s") for state in STATES if study.of_state(state)]
    rest = "trials by worker, without the time that nobody worked"
    figure, axes = _framed("Workers", rest, look, height=24 * len(names) + 8, unit=f"{unit} of work")
    for worker, begun, ended, state in spans:
        if worker in names:
            at, to = np.interp([begun.timestamp(), ended.timestamp()], clock, work) / seconds
            axes.barh(names.index(worker), max(to - at, work[-1] / seconds / 400), 0.62, left=at, color=STATES[state],
                      edgecolor=LIGHT["paper"], linewidth=0.6)  # fmt: skip
    axes.set(xlim=(0, work[-1] / seconds), ylim=(len(names) - 0.4, -0.6))
    axes.set_yticks(range(len(names)), [str(i + 1) for i in range(len(names))])
    yield save(figure, folder, "workers", "Which worker trained when")
