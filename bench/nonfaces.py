"""What a model answers to pictures that show no face: python bench/nonfaces.py DATASET [MODEL …] [--sheet FILE.png].

A hundred pictures of each of ten kinds are given to `Recognizer.predict` as crops. Printed is, for each model and kind,
how many get a label that is not "uncertain"; aim: at most 5 % of all. None of these pictures is made as training makes
its outliers (`src/mien/train/outliers.py`). "beside a face" are squares next to val's faces in bench/predict_path.py's
scenes, at most a tenth of them covered by the face. --sheet keeps ten pictures of each kind to look at.
"""

import argparse
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from predict_path import BACKGROUNDS, photo, scenes

from mien import Recognizer
from mien.dataset import read_dataset

EACH = 100
SIDE = 96  # pixels, before a model shrinks it
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "0123",
    ";",
    "?",
    "48.20",
    "EUR",
)
TEXTURES = [place for place in BACKGROUNDS if any(name in place[1] for name in ("gravel", "brick", "grass"))]
PHOTOS = [place for place in BACKGROUNDS if place not in TEXTURES]
COVERED = 0.1  # at most this share of a square beside a face


def main() -> None:
    """Print a line a model and kind, and one for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("models", nargs="*", default=["pocket"])
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    pictures = {
        name: [kind(np.random.default_rng([options.seed, number])) for number in range(EACH)]
        for name, kind in KINDS.items()
    }
    pictures["beside a face"] = beside_faces(
        read_dataset(options.dataset).development().val.images, options.seed
    )
    if options.sheet:
        write_sheet(options.sheet, pictures)
    for model in options.models:
        recognizer, labeled = Recognizer(model), 0
        for name, images in pictures.items():
            faces = [recognizer.predict(image, crop=True)[0] for image in images]
            labels = Counter(face.label for face in faces if face.certain)
            labeled += labels.total()
            print(
                f"{model}: {name}: {labels.total()} of {len(images)} labeled ({dict(labels.most_common(2))})"
            )
        count = sum(map(len, pictures.values()))
        print(f"{model}: {labeled:,} of {count:,} labeled, {labeled / count:.1%}", flush=True)


def flat(rng: np.random.Generator) -> np.ndarray:
    """One grey; of a tenth each black and white."""
    return np.full((SIDE, SIDE), (0, 255, *rng.integers(0, 256, 8))[rng.integers(10)], np.uint8)


def white_noise(rng: np.random.Generator) -> np.ndarray:
    """Each pixel by itself."""
    return rng.integers(0, 256, (SIDE, SIDE), np.uint8)


def blobs(rng: np.random.Generator) -> np.ndarray:
    """Blurred noise, stretched to all greys."""
    noise = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), np.uint8))
    soft = np.asarray(noise.filter(ImageFilter.GaussianBlur(rng.uniform(2, 16))), np.float32)
    return (255 * (soft - soft.min()) / max(1.0, np.ptp(soft))).astype(np.uint8)


def gradient(rng: np.random.Generator) -> np.ndarray:
    """Light that falls off from a place within the picture."""
    x, y = rng.uniform(0, SIDE, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(rows - y, columns - x) / SIDE
    low, high = np.sort(rng.uniform(0, 255, 2))
    return (high - (high - low) * np.clip(distance, 0, 1)).astype(np.uint8)


def rings(rng: np.random.Generator) -> np.ndarray:
    """Rings around a place within the picture."""
    x, y = rng.uniform(0, SIDE, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    waves = np.sin(np.hypot(rows - y, columns - x) / rng.uniform(1, 8) + rng.uniform(0, 6))
    return (128 + rng.uniform(20, 127) * waves).astype(np.uint8)


def text(rng: np.random.Generator) -> np.ndarray:
    """A piece of a printed page, dark on light or light on dark."""
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    size = int(rng.integers(8, 40))
    ink, paper = (255, 20) if rng.random() < 0.3 else (20, int(rng.integers(180, 256)))
    page = Image.new("L", (SIDE, SIDE), paper)
    for line in range(-1, SIDE // size + 1):
        words = " ".join(rng.permutation(WORDS))
        start = (int(rng.integers(-200, 0)), int(1.2 * size * line))
        ImageDraw.Draw(page).text(start, words, ink, ImageFont.truetype(font, size))
    return np.asarray(page)


def shapes(rng: np.random.Generator) -> np.ndarray:
    """Ellipses, rectangles and lines of any grey, over each other."""
    page = Image.new("L", (SIDE, SIDE), int(rng.integers(256)))
    draw = ImageDraw.Draw(page)
    for _ in range(rng.integers(2, 12)):
        left, top = rng.integers(-SIDE // 2, SIDE, 2)
        box = (left, top, left + rng.integers(4, SIDE), top + rng.integers(4, SIDE))
        grey = int(rng.integers(256))
        kind = rng.integers(3)
        if kind == 0:
            draw.ellipse(box, grey)
        elif kind == 1:
            draw.rectangle(box, grey)
        else:
            draw.line(box, grey, int(rng.integers(1, 12)))
    return np.asarray(page)


def piece(places: list[tuple[str, str]]) -> Callable[[np.random.Generator], np.ndarray]:
    """Return a function that cuts a square of 48 to 240 pixels from one of these photographs."""
    photos = [photo(*place) for place in places]

    def cut(rng: np.random.Generator) -> np.ndarray:
        whole = photos[rng.integers(len(photos))]
        side = int(math.exp(rng.uniform(*np.log((48, 240)))))
        left, top = rng.integers(whole.width - side), rng.integers(whole.height - side)
        return np.asarray(whole.crop((left, top, left + side, top + side)))

    return cut


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "flat": flat,
    "white noise": white_noise,
    "blobs": blobs,
    "gradient": gradient,
    "rings": rings,
    "text": text,
    "shapes": shapes,
    "texture": piece(TEXTURES),
    "photograph": piece(PHOTOS),
}


def beside_faces(images: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return squares of the face's size that lie beside it in a photograph, some of them touching it."""
    squares = []
    for number, one in enumerate(scenes(images, seed)):
        rng = np.random.default_rng([seed, number, 1])
        side = round(one.side)
        angle, distance = rng.uniform(0, 2 * math.pi), side * rng.uniform(0.95, 1.5)
        left = round(one.center[0] + distance * math.cos(angle) - side / 2)
        top = round(one.center[1] + distance * math.sin(angle) - side / 2)
        inside = 0 <= left <= one.pixels.shape[1] - side and 0 <= top <= one.pixels.shape[0] - side
        apart = [
            max(0.0, side - abs(side / 2 + at - middle))
            for at, middle in zip((left, top), one.center, strict=True)
        ]
        if inside and apart[0] * apart[1] <= COVERED * side**2:
            squares.append(one.pixels[top : top + side, left : left + side])
        if len(squares) == EACH:
            break
    return squares


def write_sheet(path: Path, pictures: dict[str, list[np.ndarray]]) -> None:
    """Write ten pictures of each kind, a row a kind."""
    sheet = Image.new("L", (10 * SIDE, len(pictures) * SIDE))
    for row, images in enumerate(pictures.values()):
        for column, image in enumerate(images[:10]):
            sheet.paste(Image.fromarray(image).resize((SIDE, SIDE)), (column * SIDE, row * SIDE))
    sheet.save(path)


if __name__ == "__main__":
    main()
