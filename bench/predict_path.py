"""What finding and aligning cost: python bench/predict_path.py DATASET [--faces 500] [--test --out FILE.csv].

Each face of a split is pasted into a larger picture, found there, aligned and read by the whole path of `mien predict`,
and read as the data set's own crop beside it. A face that is not found counts as read wrongly. Printed are accuracy
with its 95 % interval for both, and the paired difference; aim: at most 1.5 points less. --out keeps the numbers.
With --test the split is PrivateTest, which is opened once: FILE.openings.jsonl keeps it. All trying is done on val.

The pictures are grey, 640 x 480 pixels, the backgrounds photographs without a face that come with scikit-image and
scikit-learn. A crop is shown 48 to 240 pixels wide, anywhere, turned by up to 10 degrees.

What it shows: whether a face in a textured picture is found, and what is lost because it is then framed, turned and
sampled anew. What it does not show: nobody knows what stood around a crop. FER2013 cuts through hair, chin and
forehead; here its border is carried on, smoothed, for a sixth of its side and fades into the background. So a detector
sees a head that ends too early, an aligned crop that reaches farther than FER2013's shows something made up, and faces
up to five times as wide as 48 pixels are blurred. In photos all three are easier.
"""

import argparse
import csv
import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mien import Recognizer
from mien.dataset import Faces, read_dataset
from mien.evaluate import predictions_of, record_opening
from mien.judge import Interval, differences, judge
from mien.predictions import Predictions
from mien.stress.photographs import away, is_there, surrounded

WIDTH, HEIGHT = 640, 480
SIDES = (48, 240)  # pixels of a pasted crop's side, drawn evenly in the logarithm
TURN = 10  # degrees either way
BACKGROUNDS = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/gravel.png"),
    ("skimage", "data/brick.png"),
    ("skimage", "data/grass.png"),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture with one face pasted in."""

    pixels: np.ndarray  # uint8 (HEIGHT, WIDTH)
    center: tuple[float, float]  # of the crop, x and y
    side: float  # of the crop, pixels
    turn: float  # of the crop, radians


def scenes(images: np.ndarray, seed: int) -> Iterator[Scene]:
    """Yield a scene of each face uint8 (N, S, S); the same for the same seed, whatever N."""
    photos = [photo(package, path) for package, path in BACKGROUNDS]
    for number, face in enumerate(images):
        yield scene(face, photos, np.random.default_rng([seed, number]))


def photo(package: str, path: str) -> Image.Image:
    """Return a picture that ships inside a package, grey; the package is not imported."""
    folder = Path(importlib.util.find_spec(package).submodule_search_locations[0])
    return Image.open(folder / path).convert("L")


def scene(face: np.ndarray, photos: Sequence[Image.Image], rng: np.random.Generator) -> Scene:
    """Return a face uint8 (S, S) in a piece of a photograph, at a random place, size and turn."""
    side = math.exp(rng.uniform(*np.log(SIDES)))
    turn = math.radians(rng.uniform(-TURN, TURN))
    room = side * 0.8  # from its middle to the picture's edge: no corner is cut off
    x, y = rng.uniform(room, WIDTH - room), rng.uniform(room, HEIGHT - room)
    pixels, cover = surrounded(face)
    scale, middle = len(face) / side, len(pixels) / 2
    across, down = scale * math.cos(turn), scale * math.sin(turn)
    back = (across, down, middle - across * x - down * y, -down, across, middle + down * x - across * y)
    shown, cover = (
        np.asarray(Image.fromarray(layer).transform((WIDTH, HEIGHT), Image.Transform.AFFINE, back, how))
        for layer, how in ((pixels, Image.Resampling.BICUBIC), (cover, Image.Resampling.BILINEAR))
    )
    behind = background(photos[rng.integers(len(photos))], rng)
    mixed = np.rint(cover * shown + (1 - cover) * behind).clip(0, 255).astype(np.uint8)
    return Scene(mixed, (x, y), side, turn)


def background(photo: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Return a random piece of a photograph, uint8 (HEIGHT, WIDTH), between all of it and its own pixels."""
    least = max(WIDTH / photo.width, HEIGHT / photo.height)
    factor = rng.uniform(least, max(least, 1))
    large = photo.resize((math.ceil(photo.width * factor), math.ceil(photo.height * factor)))
    left, top = rng.integers(large.width - WIDTH + 1), rng.integers(large.height - HEIGHT + 1)
    return np.asarray(large.crop((left, top, left + WIDTH, top + HEIGHT)))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the whole path gave for the faces."""

    told: Predictions
    found: np.ndarray  # bool (N,)
    sides: np.ndarray  # float64 (N,), of the pasted crops
    others: int  # faces found where none was pasted


def through_path(recognizer: Recognizer, faces: Faces, crops: Predictions, seed: int) -> Reading:
    """Return what is read of faces in their scenes; one that is not found is put down as a class it is not."""
    placed = []

    def pictures() -> Iterator[np.ndarray]:
        for one in scenes(faces.images, seed):
            placed.append(one)
            yield one.pixels
            placed[-1] = replace(one, pixels=np.empty(0))

    probs = np.eye(len(crops.classes))[(faces.labels + 1) % len(crops.classes)]
    found, others = np.zeros(len(faces), bool), 0
    for number, read in enumerate(recognizer.predict_many(pictures())):
        center, side = placed[number].center, placed[number].side
        here = [face for face in read if is_there(face.box, center, side)]
        others += len(read) - len(here)
        if here:
            found[number] = True
            nearest = min(here, key=lambda face: away(face.box, center))
            probs[number] = list(nearest.probabilities.values())
    told = Predictions(crops.classes, crops.ids, crops.labels, crops.splits, probs, crops.groups, crops.clean)
    return Reading(told, found, np.array([one.side for one in placed]), others)


def rows_of(crops: Predictions, path: Reading) -> list[tuple[str, Interval]]:
    """Return what is told, each a share with its interval."""
    (difference,) = differences({"whole path": [path.told], "crops": [crops]})
    told = [
        ("read rightly as crops", judge([crops]).scores["accuracy"]),
        ("read rightly by the whole path", judge([path.told]).scores["accuracy"]),
        ("whole path minus crops", difference.scores["accuracy"]),
        ("found", share(path.found)),
        ("another face found beside it", share(np.arange(len(path.found)) < path.others)),
    ]
    if path.found.any():
        (there,) = differences(
            {"whole path": [path.told.only(path.found)], "crops": [crops.only(path.found)]}
        )
        told.append(("whole path minus crops, faces found", there.scores["accuracy"]))
    edges = np.quantile(path.sides, (0, 1 / 3, 2 / 3, 1))
    for low, high in zip(edges, edges[1:], strict=False):
        some = (path.sides >= low) & (path.sides <= high)
        told.append((f"found, crops of {low:.0f} to {high:.0f} pixels", share(path.found[some])))
    return told


def share(which: np.ndarray) -> Interval:
    """Return a share with Wilson's 95 % interval."""
    n, p, z = len(which), float(which.mean()), 1.96
    middle, reach = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(
        p, max(0.0, (middle - reach) / (1 + z * z / n)), min(1.0, (middle + reach) / (1 + z * z / n))
    )


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--faces", type=int, default=500, help="drawn from the split; 0 takes all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", action="store_true", help="PrivateTest, once; needs --out")
    parser.add_argument("--out", type=Path, help="a CSV of the figures")
    parser.add_argument("--sheet", type=Path, help="a PNG of the first 12 pictures, and nothing else is done")
    options = parser.parse_args()
    if options.test and not options.out:
        parser.error("--test opens the test split; say with --out where its figures and the opening are kept")
    recognizer = Recognizer(options.model, threads=1)
    dataset = read_dataset(options.dataset)
    if options.test:
        opened = options.out.with_name(f"{options.out.stem}.openings.jsonl")
        record_opening(opened, dataset.info.fingerprint, graph_sha256=recognizer.model.graph_sha256)
    faces = drawn(dataset.open_test() if options.test else dataset.development().val, options)
    if options.sheet:
        sheet(scenes(faces.images[:12], options.seed)).save(options.sheet)
        return
    crops = predictions_of(recognizer.model, faces, "test" if options.test else "val")
    told = rows_of(crops, through_path(recognizer, faces, crops, options.seed))
    print(f"{len(faces):,} faces of {'test' if options.test else 'val'}, model {recognizer.model.name}")
    for name, value in told:
        print(f"{name}: {100 * value.point:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]")
    if options.out:
        write(options.out, told, len(faces))


def drawn(faces: Faces, options: argparse.Namespace) -> Faces:
    """Return as many faces as were asked for, the same ones for the same seed, in the split's order."""
    if not 0 < options.faces < len(faces):
        return faces
    rows = np.sort(np.random.default_rng(options.seed).permutation(len(faces))[: options.faces])
    return Faces(
        **{name: getattr(faces, name)[rows] for name in ("images", "labels", "ids", "groups", "clean")}
    )


def sheet(some: Iterator[Scene]) -> Image.Image:
    """Return twelve scenes side by side, half as large."""
    whole = Image.new("L", (4 * WIDTH // 2, 3 * HEIGHT // 2))
    for number, one in enumerate(some):
        small = Image.fromarray(one.pixels).reduce(2)
        whole.paste(small, (number % 4 * small.width, number // 4 * small.height))
    return whole


def write(path: Path, told: Sequence[tuple[str, Interval]], faces: int) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("figure", "percent", "low", "high", "faces"))
        for name, value in told:
            table.writerow((name, *(f"{100 * x:.2f}" for x in (value.point, value.low, value.high)), faces))


if __name__ == "__main__":
    main()
