"""Draws a measurement's two figures. Measures nothing."""

from mien.bench import PLAIN, Bench
from mien.bench.clock import STAGES, gain
from mien.pages.charts import bars
from mien.pages.legend import Series
from mien.pages.report import Report
from mien.pages.theme import series


def draw(report: Report, result: Bench) -> None:
    """Draw speed and stages; draw inside `themed()`."""
    values = [round(result.images_per_second(name)) for name in result.training]
    times = gain(result.training[result.own], result.training[PLAIN])
    shown = [Series("faces a second", *series(0), values)]
    rest = f"from a plain loop to mien: {times:.2f} times"
    figure = bars(f"Training {result.recipe}", rest, list(result.training), shown)
    label = ", ".join(f"{name}: {value}" for name, value in zip(result.training, values, strict=True))
    report.draw("speed", figure, "speed", f"Faces a second in training. {label}")
    shown = [
        _stages(result, number, *names) for number, names in enumerate(((PLAIN,) * 2, ("mien", result.own)))
    ]
    figure = bars("Where a step's time goes", "microseconds a face", list(STAGES), shown)
    label = "; ".join(f"{one.name}: {', '.join(map(str, one.values))}" for one in shown)
    report.draw("speed", figure, "stages", f"Microseconds a face of {', '.join(STAGES)}. {label}")


def _stages(result: Bench, number: int, name: str, training: str) -> Series:
    stages = result.training[training].stages
    return Series(name, *series(number), [round(1e6 * stages[s] / result.batch_size) for s in STAGES])
