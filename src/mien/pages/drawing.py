"""A drawing of a network from its stages. Knows nothing about torch.

Every stage is what it gives: as high as its side in pixels, as wide as its channels, on one
scale for all drawings of a page. A dense block shows the channels it takes, the channels that
each layer adds behind them, and an arc for each connection.
"""

from collections.abc import Sequence

from mien.pages.figures import EDGE, SMALL, TITLE_HEIGHT, WIDTH, canvas, new_figure, text_width, title
from mien.pages.theme import LIGHT
from mien.text import millions, shortened, thousands

LEFT, TEXT_LEFT = EDGE + 2, 186
ROOM = TEXT_LEFT - LEFT - 14
HIGHEST_ARC, LINE, GAP = 34, 13, 20
CROWDED = 10  # places in a block; above, arcs are thin
CURVE_RISE = 0.75  # of its control points' height is what a curve reaches
TALLEST = 56  # pixels of the drawing that the input's side takes


def widest(networks: Sequence[dict]) -> int:
    """Return the most channels of any stage of some networks, the common scale of their drawings."""
    shapes = [stage["shape"] for net in networks for stage in net["stages"]]
    return max((shape[0] for shape in shapes if len(shape) == 3), default=1)


def network(main: str, summary: dict, *, side: int, most_channels: int, color: str):
    """Return the drawing of a network told by `network.json`, for faces of `side` pixels."""
    rest = f"{thousands(summary['parameters'])} parameters, {millions(summary['multiply_adds'])} multiply-adds a face"
    face = {"kind": "input", "label": "face", "shape": [1, side, side], "parameters": 0, "multiply_adds": 0}
    stages = [face, *summary["stages"]]
    scale = ROOM / max(most_channels, 1), TALLEST / side
    heights = [_row_height(stage, scale) for stage in stages]
    figure = new_figure(TITLE_HEIGHT + sum(heights) + GAP * len(stages))
    title(figure, main, rest)
    axes = canvas(figure)
    y, left_at = TITLE_HEIGHT + 6.0, 0.0
    for before, stage, height in zip([face, *stages], stages, heights, strict=False):
        top, bottom = _stage(axes, stage, before["shape"][0], y, height, scale, color)
        _words(axes, stage, y + height / 2)
        if stage is not face:
            _arrow(axes, left_at + 3, top - 1)
        y, left_at = y + height + GAP, bottom
    return figure


def _lines(stage: dict) -> list[str]:
    shape = stage["shape"]
    flat = len(shape) == 1
    where = f"{shape[0]} values" if flat else " × ".join(f"{size:,}" for size in shape)
    if stage["kind"] == "input":
        return [stage["label"], where]
    return [
        *_wrapped(stage["label"]),
        where,
        f"{thousands(stage['parameters'])} parameters",
        f"{millions(stage['multiply_adds'])} multiply-adds",
    ]


def _wrapped(label: str) -> list[str]:
    """Return a label in one line, or in two where it has a comma and would not fit."""
    room = int((WIDTH - TEXT_LEFT) / text_width("x", SMALL))
    head, comma, tail = label.partition(", ")
    if len(label) <= room or not comma:
        return [shortened(label, room + 3)]
    return [shortened(head + ",", room + 3), shortened(tail, room + 3)]


def _words(axes, stage: dict, middle: float) -> None:
    lines = _lines(stage)
    names = 1 if stage["kind"] == "input" else len(lines) - 3
    for i, line in enumerate(lines):
        y = middle + (i - (len(lines) - 1) / 2) * LINE
        color = LIGHT["ink"] if i < names else LIGHT["muted"]
        weight = "bold" if i < names else "normal"
        axes.text(TEXT_LEFT, y, line, fontsize=SMALL, va="center", color=color, weight=weight)


def _extent(stage: dict, scale: tuple[float, float]) -> tuple[float, float]:
    """Return a stage's width and height in pixels; what is too thin to see is made just visible."""
    channels, side = stage["shape"][0], stage["shape"][1] if len(stage["shape"]) == 3 else 1
    return max(channels * scale[0], 2.0), max(side * scale[1], 2.0)


def _row_height(stage: dict, scale: tuple[float, float]) -> float:
    arcs = HIGHEST_ARC + 2 if stage["kind"] == "dense" else 0
    return max(_extent(stage, scale)[1] + arcs, LINE * len(_lines(stage)))


def _stage(
    axes, stage: dict, channels: int, y: float, height: float, scale, color: str
) -> tuple[float, float]:
    """Draw one stage, which takes `channels`, in a row from pixel `y` on; return its upper and lower edge."""
    from matplotlib.patches import Rectangle

    width, tall = _extent(stage, scale)
    arcs = HIGHEST_ARC + 2 if stage["kind"] == "dense" else 0
    top = y + (height - tall - arcs) / 2 + arcs
    if len(stage["shape"]) == 1:
        return _classes(axes, stage["shape"][0], y + height / 2, color)
    if stage["kind"] != "dense":
        fill = LIGHT["muted"] if stage["kind"] == "input" else color
        axes.add_patch(Rectangle((LEFT, top), width, tall, color=fill, alpha=0.85, linewidth=0))
        return top, top + tall
    taken = channels * scale[0]
    axes.add_patch(Rectangle((LEFT, top), taken, tall, color=color, alpha=0.85, linewidth=0))
    step = (width - taken) / stage["layers"]
    edges = [LEFT + taken + n * step for n in range(stage["layers"])]
    for n, x in enumerate(edges):
        axes.add_patch(Rectangle((x, top), step, tall, color=color, alpha=0.3 if n % 2 else 0.5, linewidth=0))
    _arcs(axes, [LEFT + taken / 2, *(x + step / 2 for x in edges)], top - 1)
    return top, top + tall


def _arcs(axes, centers: Sequence[float], y: float) -> None:
    """Join every two centers by an arc above row `y`: a layer reads all that stands before it.

    The arcs into the last layer are dark, so that one can be followed where there are many.
    """
    from matplotlib.patches import PathPatch

    crowded = len(centers) > CROWDED
    width = 0.35 if crowded else 0.7
    inner = _arc_path(centers[:-1], centers[:-1], y, centers[-1] - centers[0])
    last = _arc_path(centers[:-1], centers[-1:], y, centers[-1] - centers[0])
    for path, color in ((inner, LIGHT["muted"]), (last, LIGHT["ink"])):
        axes.add_patch(PathPatch(path, facecolor="none", edgecolor=color, linewidth=width))


def _arc_path(starts: Sequence[float], ends: Sequence[float], y: float, longest: float):
    from matplotlib.path import Path

    points, codes = [(starts[0], y)], [Path.MOVETO]
    for start in starts:
        for end in (end for end in ends if end > start):
            rise = HIGHEST_ARC * (0.2 + 0.8 * (end - start) / longest) / CURVE_RISE
            points += [(start, y), (start, y - rise), (end, y - rise), (end, y)]
            codes += [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    return Path(points, codes)


def _classes(axes, count: int, y: float, color: str) -> tuple[float, float]:
    """Draw the classes as dots in a row, so many as there is room for."""
    shown = min(count, int(ROOM / 11))
    axes.plot(
        [LEFT + 5 + 11 * n for n in range(shown)], [y] * shown, "o", color=color, markersize=7, linestyle=""
    )
    return y - 5, y + 5


def _arrow(axes, start: float, end: float) -> None:
    if end - start > 6:
        style = {"arrowstyle": "-|>,head_width=0.16,head_length=0.3", "shrinkA": 0, "shrinkB": 0}
        line = {"color": LIGHT["muted"], "linewidth": 0.9}
        axes.annotate("", (LEFT + 2, end), (LEFT + 2, start), arrowprops={**style, **line})
