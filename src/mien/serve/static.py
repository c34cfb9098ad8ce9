"""The page with a model as plain files, which any web server gives out, at any address. Knows no server."""

import gzip
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from mien.errors import ServeError, StorageError
from mien.faces import finder
from mien.files import appearing_folder
from mien.pages import render
from mien.serve import files
from mien.serve.about import describe
from mien.serve.settings import Settings

MODEL, SAMPLES = "v1/model.json", "v1/samples.json"  # with an ending, from which hosts tell what a file is


def write_static(settings: Settings, target: Path) -> int:
    """Write the page with the model of the settings into a new folder, whole or not at all; return its bytes.

    Raises StorageError where the folder holds anything, ModelError for a model that cannot be used.
    """
    if not target.name or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise StorageError(f"{target}: exists and is not an empty folder; give the name of a new one")
    contents = static_files(settings)
    with appearing_folder(target) as folder:
        for address, data in contents.items():
            path = folder / address
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return sum(map(len, contents.values()))


def static_files(settings: Settings) -> dict[str, bytes]:
    """Return what the folder holds, by address below it."""
    answers = _answers(settings)
    index = render("mien.serve", files.INDEX, model_url=MODEL, policy="; ".join(files.POLICY)).encode()
    script = files.service_worker({"./": index, files.INDEX: index, **answers})
    stored = {files.INDEX: index, files.SERVICE_WORKER: script.encode(), **answers, **licenses()}
    pages = {address: _unpacked(path) for address, path in files.page_files().items()}
    return {address.partition("?")[0]: data for address, data in stored.items()} | pages


def _answers(settings: Settings) -> dict[str, bytes]:
    """Return what the page asks for beside its own files, by the addresses that it uses."""
    model, samples = settings.read_model(), files.samples()
    network, detector = model.path.read_bytes(), finder.MODEL.read_bytes()
    versions = files.version(network), files.version(detector)
    description = describe(model, *versions, settings.notice) | {"samples_url": PurePosixPath(SAMPLES).name}
    answers = {MODEL: json.dumps(description).encode(), SAMPLES: json.dumps(samples).encode()}
    answers |= {f"v1/{description['model_url']}": network, f"v1/{description['detector_url']}": detector}
    for sample in samples:
        name = PurePosixPath(sample["url"].partition("?")[0]).name
        answers[f"v1/{sample['url']}"] = (files.SAMPLES / name).read_bytes()
    return answers


def licenses() -> dict[str, bytes]:
    """Return mien's license, its notice and the face detector's license, by name."""
    names = ("LICENSE", "NOTICE")
    try:
        texts = [distribution("mien").read_text(f"licenses/{name}") for name in names]
    except PackageNotFoundError:
        texts = [None]
    if None in texts:
        raise ServeError("mien's LICENSE must go with the page and is not installed; install mien with pip")
    detector = finder.MODEL.with_name("centerface.LICENSE.txt")
    own = {name: text.encode() for name, text in zip(names, texts, strict=True) if text is not None}
    return own | {detector.name: detector.read_bytes()}


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data
