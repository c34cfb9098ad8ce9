"""A model as hubs of models want it: a folder with the file, its card under their metadata, and its labels as JSON.

The folder is what Hugging Face shows as a model: README.md with YAML before the card, config.json, model.onnx, and
.gitattributes, by which git keeps the model as a large file. Nothing is uploaded, and no network is loaded.
"""

import json
import re
from pathlib import Path
from typing import Any

from mien import __version__
from mien.errors import StorageError
from mien.files import make_folder, to_json, write_atomic
from mien.model import INPUT, LARGEST_FILE_BYTES, OUTPUT, SECONDS, STATE, Model
from mien.model.card import model_index
from mien.reading import read_bytes, read_text

README, CONFIG, MODEL, ATTRIBUTES = "README.md", "config.json", "model.onnx", ".gitattributes"
OURS = "library_name: mien"
LARGEST_README = 2**22
LICENCES = {  # of which hubs know the identifier, lower case
    *("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "bsd-3-clause"),
    *("bsd-2-clause", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "openrail", "unlicense", "wtfpl"),
}  # fmt: skip


def write_hub(model: Model, folder: Path) -> None:
    """Write a model's folder; files of these names that mien wrote before are replaced, any others stay.

    Raises StorageError where a README.md that is not mien's would be lost, or the disk refuses.
    """
    folder = Path(folder)
    readme = folder / README
    if readme.exists() and OURS not in read_text(readme, LARGEST_README).splitlines():
        raise StorageError(f"{readme}: exists and was not written by mien; move it or give another folder")
    data = read_bytes(model.path, LARGEST_FILE_BYTES)
    make_folder(folder)
    write_atomic(folder / MODEL, data)
    write_atomic(folder / CONFIG, to_json(config(model)))
    write_atomic(folder / ATTRIBUTES, "*.onnx filter=lfs diff=lfs merge=lfs -text\n")
    write_atomic(readme, card(model))


def config(model: Model) -> dict[str, Any]:
    """Return what a program must know to use the file without mien, as `config.json` has it."""
    return {
        "name": model.name,
        "library": {"mien": __version__},
        "id2label": {str(number): label for number, label in enumerate(model.labels)},
        "label2id": {label: number for number, label in enumerate(model.labels)},
        "image_size": model.side,
        "num_channels": 1,
        "input": {"name": INPUT, "dtype": "uint8", "shape": ["N", 1, model.side, model.side]},
        "output": {"name": OUTPUT, "dtype": "float32", "shape": ["N", len(model.labels)]},
        "state_size": model.state_size,
        "uncertain_below": model.threshold,
        "class_prior": dict(zip(model.labels, model.prior, strict=True)),
        "crop": model.crop,
        "license": model.licence,
        "sha256": model.sha256,
    }


def card(model: Model) -> str:
    """Return the model's card with a hub's metadata before it, and how it is loaded after its introduction."""
    text = model.card.strip() or f"# {model.name}"
    heading = re.search(r"^## ", text, re.MULTILINE)
    at = heading.start() if heading else len(text)
    return f"{_front_matter(model)}\n{text[:at].rstrip()}\n\n{_loading(model)}\n\n{text[at:]}".rstrip() + "\n"


def _front_matter(model: Model) -> str:
    """Return the YAML between two lines of dashes; a string of JSON is one of YAML."""
    licence = model.licence.lower()
    known = licence in LICENCES
    lines = [f"license: {licence if known else 'unknown' if licence == 'not stated' else 'other'}"]
    if lines == ["license: other"]:
        lines.append(f"license_name: {json.dumps(model.licence)}")
    kind = model.data["origin"].get("kind", "")
    tags = ["facial-expression-recognition", "onnx", *([str(kind)] if kind else [])]
    lines += [OURS, "pipeline_tag: image-classification", "tags:", *(f"- {json.dumps(tag)}" for tag in tags)]
    lines += ["metrics:", "- accuracy", "- f1"]
    index = model_index(model.card, model.name, str(kind or "unknown"))
    lines += [f"model-index: {json.dumps(index, ensure_ascii=False)}"] if index else []
    return "\n".join(["---", *lines, "---", ""])


def _loading(model: Model) -> str:
    state = ""
    if model.state_size:
        state = (
            f'\ninputs["{SECONDS}"] = np.zeros(1, np.float32)  # since the frame before\n'
            f'inputs["{STATE}"] = np.zeros((1, config["state_size"]), np.float32)  # next_state of it'
        )
    return f'''## How to load it

With mien, which finds the faces in a photo, aligns and classifies them (`pip install mien`):

```python
from mien import Recognizer

for face in Recognizer("{MODEL}").predict("photo.jpg"):
    print(face.label, face.confidence)
```

With onnxruntime alone, of a face that was cropped as described below:

```python
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

config = json.loads(Path("{CONFIG}").read_text(encoding="utf-8"))
side = config["image_size"]
face = Image.open("face.png").convert("L").resize((side, side), Image.Resampling.BOX)
inputs = {{"{INPUT}": np.asarray(face, np.uint8)[None, None]}}{state}
(probabilities,) = onnxruntime.InferenceSession("{MODEL}").run(["{OUTPUT}"], inputs)
print(config["id2label"][str(probabilities[0].argmax())], probabilities[0].max())
```'''
