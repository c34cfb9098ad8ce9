"""Writes a measurement: two figures and the numbers. Measures nothing."""

from pathlib import Path

from mien.bench import PLAIN, Bench
from mien.bench.clock import STAGES, gain
from mien.files import refuse_other_contents, replacing_folder, to_json, write_atomic
from mien.pages.charts import bars
from mien.pages.figures import Figures, save, themed
from mien.pages.legend import Series
from mien.pages.theme import series

RECORD = "bench.json"
FIGURES = ("speed", "stages")
CONTENTS = {RECORD, *(f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png"))}


def check(out: Path) -> None:
    """Raise StorageError where `out` holds anything but an earlier measurement, before one is made."""
    refuse_other_contents(Path(out), CONTENTS)


def write(told: Bench, out: Path) -> Figures:
    """Write `bench.json` and the figures `speed` and `stages` (SVG and PNG) into folder `out`; return the figures.

    The folder appears whole or not at all; one of this kind that stands there is replaced. Raises StorageError
    where `out` holds anything else, MissingExtra without matplotlib.
    """
    check(out)
    with themed("train"), replacing_folder(Path(out)) as fresh:
        write_atomic(fresh / RECORD, to_json(told.to_dict()))
        return Figures((_speed(told, fresh), _stages(told, fresh)))


def _speed(told: Bench, folder: Path):
    color, marker = series(0)
    values = [round(told.images_per_second(name)) for name in told.training]
    times = gain(told.training[told.own], told.training[PLAIN])
    shown = Series("faces a second", color, marker, values)
    figure = bars(
        f"Training {told.recipe}",
        f"from a plain loop to mien: {times:.2f} times",
        list(told.training),
        [shown],
    )
    label = ", ".join(f"{name}: {value}" for name, value in zip(told.training, values, strict=True))
    return save(figure, folder, "speed", f"Faces a second in training. {label}")


def _stages(told: Bench, folder: Path):
    names = {PLAIN: PLAIN, "mien": told.own}
    shown = [
        Series(
            name,
            *series(number),
            [round(1e6 * told.training[key].stages[s] / told.batch_size) for s in STAGES],
        )
        for number, (name, key) in enumerate(names.items())
    ]
    figure = bars("Where a step's time goes", "microseconds a face", list(STAGES), shown)
    label = "; ".join(f"{one.name}: {', '.join(map(str, one.values))}" for one in shown)
    return save(figure, folder, "stages", f"Microseconds a face of {', '.join(STAGES)}. {label}")
