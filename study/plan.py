"""Every run behind docs/study.md: which recipe, changed how, on which faces, with how many seeds. Data alone."""

from dataclasses import dataclass
from pathlib import Path

RUNS = Path("runs/study")
RESULTS = Path("results/study")
FULL_SEEDS = 5  # of every run, where a GPU trains them


@dataclass(frozen=True, slots=True)
class Planned:
    """A recipe to be trained over some seeds."""

    name: str
    groups: tuple[str, ...]  # of runs that are judged together
    recipe: str
    changes: tuple[str, ...] = ()
    seeds: int = 1  # on a small CPU
    faces: str = "fer2013"  # or "swapped"
    probed: bool = False  # gradients at the start and in the middle, weights at the end

    def folder(self, seed: int) -> Path:
        """Return the run's folder."""
        return RUNS / f"{self.name}-s{seed}"

    @property
    def overrides(self) -> tuple[str, ...]:
        """Return the recipe's changed fields."""
        return (f"name={self.name}", *self.changes)


def _blocks(layers: str, growth: str, connection: str = "dense", bottleneck: float = 4) -> tuple[str, ...]:
    """Return the small network of part 2: the study's stem, three blocks at 12, 6 and 3 pixels, six epochs."""
    stem = (
        "network.stem_channels=0",
        "network.stem_kernel=7",
        "network.stem_stride=2",
        "network.stem_pool=true",
    )
    options = {"layers": layers, "growth_rate": growth, "connection": connection, "bottleneck": bottleneck}
    fields = tuple(f"network.{key}={value}" for key, value in options.items())
    return (*fields, *stem, "network.activation=pre", "training.epochs=6")


def _connected(
    name: str, *blocks, groups: tuple[str, ...] = ("variants",), lr: float = 0.1, **more
) -> Planned:
    changes = (*_blocks(*blocks), f"optimizer.lr={lr}")
    return Planned(name, groups, "quick-densenet", changes, probed=True, **more)


# Of the swapped runs, as docs/study.md has them: at most 30 epochs, not until their early stopping.
SHORT = ("training.epochs=30",)


PLAN = (
    # ---- as published, on the official splits
    Planned("study-cnn", ("published",), "study-cnn", seeds=3),
    Planned("study-densenet", ("published",), "study-densenet", seeds=3),
    # ---- the same layers connected three ways; widths of the last two match the first one's cost
    _connected("dense", "6,6,6", "12", groups=("connections", "equal"), seeds=3),
    _connected("residual", "6,6,6", "29,30,33", "add", 1, groups=("connections",), seeds=3),
    _connected("plain", "6,6,6", "29,30,33", "none", 1, groups=("connections",), seeds=3),
    # ---- the same once more with equal growth and bottleneck, so at unlike cost, beside `dense`
    _connected("equal-residual", "6,6,6", "12", "add", 4, groups=("equal",), seeds=3),
    _connected("equal-plain", "6,6,6", "12", "none", 4, groups=("equal",), seeds=3),
    # ---- the splits swapped, as the study had them
    Planned("swapped-cnn", ("swapped",), "study-cnn", SHORT, faces="swapped"),
    Planned("swapped-densenet", ("swapped",), "study-densenet", SHORT, faces="swapped"),
    # ---- a better recipe: at equal time, and at equal parameters
    Planned("quick-cnn", ("better",), "quick-cnn", seeds=3),
    Planned("quick-densenet", ("better",), "quick-densenet", seeds=3),
    Planned("study-densenet-better", ("better",), "quick-densenet",
            ("network.layers=4,26,4", "network.growth_rate=16", "network.bottleneck=4", "network.reduction=0.4264",
             "network.activation=pre", "network.stem_channels=0", "network.stem_kernel=7", "network.stem_pool=true",
             "training.epochs=5")),
    Planned("cnn-narrow", ("better",), "quick-cnn", ("network.channels=12,23,46,92,184", "network.hidden=360")),
    # ---- depth at equal cost, with each connection; growth; bottleneck
    _connected("dense-deep", "12,12,12", "7"),
    _connected("residual-deep", "12,12,12", "19,21,24", "add", 1),
    _connected("plain-deep", "12,12,12", "19,21,24", "none", 1),
    _connected("dense-shallow", "3,3,3", "18"),
    _connected("residual-shallow", "3,3,3", "40,42,41", "add", 1),
    _connected("plain-shallow", "3,3,3", "40,42,41", "none", 1),
    # ---- a lower rate: is it the rate alone?
    _connected("dense-slow", "6,6,6", "12", lr=0.02),
    _connected("residual-slow", "6,6,6", "29,30,33", "add", 1, lr=0.02),
    _connected("plain-slow", "6,6,6", "29,30,33", "none", 1, lr=0.02),
    _connected("dense-growth-6", "6,6,6", "6"),
    _connected("dense-growth-18", "6,6,6", "18"),
    _connected("dense-bottleneck-1", "6,6,6", "12", "dense", 1),
    _connected("dense-bottleneck-2", "6,6,6", "12", "dense", 2),
    _connected("residual-narrow", "6,6,6", "53,62,64", "add", 0.25),
)  # fmt: skip

PUBLISHED = tuple(planned.name for planned in PLAN if "published" in planned.groups)  # the CNN, the DenseNet
