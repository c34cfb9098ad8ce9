"""What a head over time gains: python bench/clips.py TUNE HELD RUNS [--seeds 3] [--out FILE.csv] [--figures FOLDER].

TUNE and HELD are rendered clips of different people: `mien render FOLDER --clips N`, of two seeds. In RUNS the recipe
`clip` is trained on TUNE's train people with each head and seed; settings are chosen on TUNE's other people, for all
seeds of a head together, and all is shown on HELD.

Systems: the shipped model on single frames and with the filter of `mien video`; a head that remembers nothing (it has
learned from the same clips, so what it gains is no matter of time), alone and with that filter; heads over time with
the same filter behind them. Probabilities become labels by `Steady` with every setting of GRID, without a threshold.

A change is false where the label changes while the truth neither changes nor is on its way. The delay of a true change
is the time until the label is first the new class, a second at most, which is what one counts that is never found. Each
setting gives a point; a curve is made of those that no other setting beats in both. Chosen is the setting with the
fewest false changes among those that are no later, on TUNE's other people, than the filter as it ships. A head's figure
is the mean over its seeds. Intervals are of people, or of clips, drawn with replacement, 2,000 times, the same for all
systems, and of seeds (`mien.judge`).
"""

import argparse
import itertools
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.dataset import Dataset, Faces, read_dataset
from mien.evaluate import load_network
from mien.files import write_csv
from mien.judge.bootstrap import interval, over_seeds, times_drawn
from mien.model import read_model
from mien.networks.clip import ClipNetwork
from mien.networks.engine import choose_engine
from mien.pages.figures import axes_at, new_figure, themed, title, write
from mien.pages.theme import LIGHT
from mien.recipe import read_recipe
from mien.run import Run
from mien.train import train
from mien.train.clips import classify_clip, clips_of, run_features
from mien.video.steady import Settings, Steady

HEADS = ("frame", "mean", "attention", "gru", "tcn")
BASE = "pocket-photos"
GRID = tuple(itertools.product((0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45), (1, 1.15, 1.3, 1.6, 2, 3)))
SHIPPED = (0.1, 1.3)
LATEST = 1.0  # seconds
MOVING = ("onset", "offset", "change")
DRAWS = 2000
TICKS = (0, 10, 20, 50, 100)
COLUMNS = ("system", "constant_seconds", "margin", "figure", "interval_over", "value", "low", "high")
OVER = ("people", "clips")
COLORS = {
    BASE: "#8a8a8a",
    "frame": "#b07b2c",
    "mean": "#5b8c5a",
    "attention": "#7a5fa3",
    "gru": "#1f6fb2",
    "tcn": "#b23a48",
}


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true of the frames of a clip."""

    person: str
    seconds: np.ndarray  # (T,)
    labels: np.ndarray  # int64 (T,)
    steady: np.ndarray  # bool (T,)
    label: int  # of the clip, -1 where it has none


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """What a system says of all clips of a set: probabilities of frames, and at the end of each clip."""

    frames: list[np.ndarray]  # (T, C) each
    clips: np.ndarray  # (clips, C)
    weights: list[np.ndarray]  # (T,) each


def truths(folder: Path, splits: tuple[str, ...]) -> tuple[list[Truth], Faces]:
    """Return the truth of the clips in some splits, and their faces in one piece."""
    whole = read_dataset(folder)
    table, info = whole.whole().table, whole.info
    rows = np.flatnonzero(np.isin(table["split"], splits))
    faces = whole._taken(rows)  # noqa: SLF001 (of all splits: these people were rendered to be judged on)
    assert faces.frames is not None
    clips = []
    for places in faces.frames.rows():
        own = rows[places]
        labels = np.array([info.labels.index(name) for name in table["label"][own]])
        steady = ~np.isin(table["phase"][own], MOVING)
        clip_label = int(faces.frames.clip_labels[places[0]])
        clips.append(
            Truth(str(table["person"][own[0]]), faces.frames.seconds[places], labels, steady, clip_label)
        )
    return clips, faces


def of_base(faces: Faces) -> System:
    """Return what the shipped model says of single frames; a clip's answer is the mean of its frames."""
    assert faces.frames is not None
    model = read_model(BASE, threads=1)
    probs = model.probabilities(faces.images).astype(np.float64)
    order = [model.labels.index(name) for name in model.labels]
    parts = [probs[rows][:, order] for rows in faces.frames.rows()]
    return System(parts, np.array([part.mean(0) for part in parts]), [np.ones(len(part)) for part in parts])


def of_run(run: Run, faces: Faces, features: np.ndarray) -> System:
    """Return what a run's head says; `features` are those of the faces."""
    network, _ = load_network(run, run.result()["weights_sha256"], "cpu")
    assert isinstance(network, ClipNetwork)
    answers = [classify_clip(network, clip) for clip in clips_of(faces, features)]
    return System([a[0] for a in answers], np.array([a[1][-1] for a in answers]), [a[2] for a in answers])


def labels_over(probs: np.ndarray, seconds: np.ndarray, setting: tuple[float, float]) -> np.ndarray:
    steady = Steady(0.0, Settings(setting[0], setting[1], 1.0))
    return np.array([steady.add(s, p)[1] for s, p in zip(seconds.tolist(), probs, strict=True)])


def counts(truth: Truth, places: np.ndarray) -> np.ndarray:
    """Return false changes, minutes of steady truth, delays added up, and true changes."""
    within = truth.steady[1:] & truth.steady[:-1] & (truth.labels[1:] == truth.labels[:-1])
    false = ((places[1:] != places[:-1]) & within).sum()
    minutes = (np.diff(truth.seconds) * within).sum() / 60
    turns = np.flatnonzero(truth.labels[1:] != truth.labels[:-1]) + 1
    waited = 0.0
    for turn, end in itertools.pairwise([*turns, len(places)]):
        hits = np.flatnonzero(places[turn:end] == truth.labels[turn])
        seen = truth.seconds[turn + hits[0]] - truth.seconds[turn] if len(hits) else LATEST
        waited += min(seen, LATEST)
    return np.array([false, minutes, waited, len(turns)], float)


Value = tuple[float, np.ndarray]  # a figure, and of each draw
Curve = dict[tuple[float, float], np.ndarray]  # by setting the counts of each seed's clips (seeds, clips, 4)


class Judge:
    """Figures of a set of clips, with draws of its people or of its clips, and of seeds."""

    def __init__(self, clips: list[Truth], over: str) -> None:
        names = [clip.person if over == "people" else str(n) for n, clip in enumerate(clips)]
        self.over = over
        _, self._unit = np.unique(names, return_inverse=True)
        self._times = times_drawn(np.random.default_rng(0), DRAWS, int(self._unit.max()) + 1)

    def ratio(self, name: str, parts: np.ndarray) -> Value:
        """Return the mean over seeds of sum / sum of (seeds, clips, 2), and the same of each draw."""
        sums = np.zeros((len(parts), self._times.shape[1], 2))
        for own, of_seed in zip(sums, parts, strict=True):
            np.add.at(own, self._unit, of_seed)
        drawn = self._times @ sums  # (seeds, draws, 2)
        values = over_seeds(drawn[..., :1] / drawn[..., 1:], np.random.default_rng(zlib.crc32(name.encode())))
        whole = sums.sum(1)
        return float((whole[:, 0] / whole[:, 1]).mean()), values[:, 0]

    def figures(self, name: str, table: np.ndarray, right: dict[str, np.ndarray]) -> dict[str, Value]:
        """Return all figures of a system with a setting."""
        parts = {"delay_seconds": table[..., [2, 3]], "false_changes_a_minute": table[..., [0, 1]]} | right
        return {figure: self.ratio(name, part) for figure, part in parts.items()}


def curve_of(clips: list[Truth], system: list[System]) -> Curve:
    """Return what each setting of the filter makes of a system's seeds."""
    return {
        setting: np.array(
            [
                [
                    counts(clip, labels_over(probs, clip.seconds, setting))
                    for clip, probs in zip(clips, one.frames, strict=True)
                ]
                for one in system
            ]
        )
        for setting in GRID
    }


def accuracy_parts(clips: list[Truth], system: list[System]) -> dict[str, np.ndarray]:
    """Return how many frames, and whether each clip that has a class, are classified correctly, of how many."""
    frames = [
        [[(p.argmax(1) == c.labels).sum(), len(p)] for p, c in zip(one.frames, clips, strict=True)]
        for one in system
    ]
    whole = [
        [[c.label == p.argmax(), c.label >= 0] for p, c in zip(one.clips, clips, strict=True)]
        for one in system
    ]
    return {"accuracy_frames": np.array(frames, float), "accuracy_clips": np.array(whole, float)}


def point(table: np.ndarray) -> tuple[float, float]:
    """Return delay in seconds and false changes a minute, of all seeds together."""
    sums = table.sum((0, 1))
    return sums[2] / sums[3], sums[0] / sums[1]


def chosen(curve: Curve, latest: float) -> tuple[float, float]:
    """Return the setting with the fewest false changes that is no later; the fastest where all are."""
    points = {setting: point(table) for setting, table in curve.items()}
    allowed = [s for s in points if points[s][0] <= latest] or [min(points, key=lambda s: points[s][0])]
    return min(allowed, key=lambda s: (points[s][1], points[s][0]))


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other one beats in both."""
    kept: list[tuple[float, float]] = []
    for delay, false in sorted(points):
        if not kept or false < kept[-1][1]:
            kept.append((delay, false))
    return kept


def row_of(name: str, setting: tuple, figure: str, over: str, value: Value) -> tuple:
    """Return a row of the table."""
    one = interval(value[0], value[1], lowest=-np.inf, highest=np.inf)
    return name, *setting, figure, over, *(f"{v:.4f}" for v in (one.point, one.low, one.high))


def table_rows(judge: Judge, named: dict, curves: dict[str, Curve], right: dict):
    """Yield the rows of every system with its setting, and of the heads' differences, paired by person or clip."""
    values = {
        name: judge.figures(name, curves[system][setting], right[system])
        for name, (system, setting) in named.items()
    }
    for name, (_, setting) in named.items():
        yield from (row_of(name, setting, f, judge.over, value) for f, value in values[name].items())
    for other in ("filter as it ships", "filter chosen here", "head frame"):
        for head in HEADS[1:]:
            for figure, (own, draws) in values[f"head {head}"].items():
                there, others = values[other][figure]
                yield row_of(
                    f"head {head} minus {other}", ("", ""), figure, judge.over, (own - there, draws - others)
                )


def draw_curves(curves: dict[str, Curve], picks: dict[str, tuple[float, float]], path: Path) -> None:
    """Write delay against false changes of every system."""
    with themed():
        figure = new_figure(300, 500)
        title(
            figure,
            "Delay against false changes",
            "Rendered people that nothing was trained or chosen on; dot: chosen.",
        )
        axes = axes_at(figure, 52, 52, 330, 200)
        for number, (name, curve) in enumerate(curves.items()):
            line = np.array(front([point(table) for table in curve.values()]))
            style = "--" if name in (BASE, "frame") else "-"
            axes.plot(line[:, 0], line[:, 1], style, color=COLORS[name], label=name)
            axes.plot(*point(curve[picks[name]]), "o", color=COLORS[name], markersize=5)
            axes.text(1.04, 0.95 - 0.1 * number, name, transform=axes.transAxes, color=COLORS[name])
        axes.set_xlabel("mean delay of a true change, seconds")
        axes.set_ylabel("false changes a minute")
        axes.set_yscale("symlog", linthresh=20)
        axes.set_yticks(TICKS, [str(tick) for tick in TICKS])
        axes.set_ylim(0, 150)
        axes.grid(axis="y")
        write(figure, path)


def draw_attention(
    clips: list[Truth], faces: Faces, system: System, labels: tuple[str, ...], path: Path
) -> None:
    """Write how much each frame of some clips weighs in the class of the clip."""
    assert faces.frames is not None
    moving = [n for n, c in enumerate(clips) if c.label >= 0 and len(set(c.labels.tolist())) > 1][:4]
    with themed():
        figure = new_figure(56 + 122 * len(moving), 620)
        title(
            figure,
            "What the head attends to",
            "Line: how much a frame weighs in the class of its clip; tinted: the expression is there.",
        )
        for place, number in enumerate(moving):
            rows, clip = faces.frames.rows()[number], clips[number]
            picked = np.linspace(0, len(rows) - 1, 12).astype(int)
            strip = np.concatenate([faces.images[rows[i]] for i in picked], 1)
            top = 56 + 122 * place
            pictures = axes_at(figure, 70, top, 540, 45)
            pictures.imshow(strip, cmap="gray", vmin=0, vmax=255, aspect="auto")
            pictures.axis("off")
            axes = axes_at(figure, 70, top + 46, 540, 36)
            weights = system.weights[number] / system.weights[number].max()
            axes.fill_between(
                clip.seconds, 0, 1, where=clip.labels == clip.label, color=LIGHT["wash"], step="mid"
            )
            axes.plot(clip.seconds, weights, color=COLORS["gru"])
            axes.set_xlim(clip.seconds[0], clip.seconds[-1])
            axes.set_ylim(0, 1.05)
            axes.set_yticks([])
            axes.text(-0.01, 0.5, labels[clip.label], transform=axes.transAxes, ha="right")
        write(figure, path)


def trained(data: Dataset, folder: Path, epochs: int, seeds: int) -> dict[str, list[Run]]:
    """Return the runs of each head, one a seed; what was trained before is taken as it is."""
    engine, runs = choose_engine(device="cpu", precision="fp32", threads=1), {}
    for head in HEADS:
        settings = (f"network.head={head}", f"name=clip-{head}", f"training.epochs={epochs}")
        recipe = read_recipe("clip", settings)
        runs[head] = [
            train(recipe, data.development(), folder / f"clip-{head}-s{seed}", seed=seed, engine=engine)
            for seed in range(seeds)
        ]
        print(head, [run.result()["val"] for run in runs[head]], flush=True)
    return runs


def systems_of(faces: Faces, runs: dict[str, list[Run]]) -> dict[str, list[System]]:
    """Return what all systems say of a set's clips, by name, one a seed."""
    engine = choose_engine(device="cpu", precision="fp32", threads=1)
    features = run_features(runs["gru"][0], engine)(faces.images)
    heads = {head: [of_run(run, faces, features) for run in some] for head, some in runs.items()}
    return {BASE: [of_base(faces)]} | heads


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("tune", "held", "runs"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, help="write the table here, as CSV")
    parser.add_argument("--figures", type=Path, help="write clips.svg and clips-attention.png here")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    runs = trained(read_dataset(options.tune), options.runs, options.epochs, options.seeds)
    clips, faces = truths(options.tune, ("val", "test"))
    tuned = {name: curve_of(clips, system) for name, system in systems_of(faces, runs).items()}
    latest = point(tuned[BASE][SHIPPED])[0]
    picks = {name: chosen(curve, latest) for name, curve in tuned.items()}
    clips, faces = truths(options.held, ("train", "val", "test"))
    systems = systems_of(faces, runs)
    curves = {name: curve_of(clips, system) for name, system in systems.items()}
    right = {name: accuracy_parts(clips, system) for name, system in systems.items()}
    named = {"single frames": (BASE, (0, 1)), "filter as it ships": (BASE, SHIPPED)}
    named |= {"filter chosen here": (BASE, picks[BASE]), "head frame alone": ("frame", (0, 1))}
    named |= {f"head {head}": (head, picks[head]) for head in HEADS}
    rows = [row for over in OVER for row in table_rows(Judge(clips, over), named, curves, right)]
    for row in rows:
        print(*row)
    if options.out:
        write_csv(options.out, COLUMNS, rows)
    if options.figures:
        draw_curves(curves, picks, options.figures / "clips.svg")
        labels = read_dataset(options.held).info.labels
        draw_attention(clips, faces, systems["gru"][0], labels, options.figures / "clips-attention.png")


if __name__ == "__main__":
    main()
