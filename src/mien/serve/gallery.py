"""The rendered faces that one can try: pictures in `samples/`, listed in its `samples.json`. Renders nothing.

`scripts/serve_samples.py` makes the folder.
"""

import json
from pathlib import Path

from mien.serve.assets import Asset

SAMPLES = Path(__file__).with_name("samples")
LIST = "samples.json"
URL = "samples"  # relative to /v1/samples, the address of the list


def samples() -> tuple[list[dict], dict[str, Asset]]:
    """Return what is told of the samples, each with its address, and their files by name."""
    listed = json.loads((SAMPLES / LIST).read_text(encoding="utf-8"))
    files = {one["file"]: Asset.of((SAMPLES / one["file"]).read_bytes(), ".png") for one in listed}
    told = [{**one, "url": f"{URL}/{one['file']}?v={files[one['file']].version}"} for one in listed]
    return [{key: value for key, value in one.items() if key != "file"} for one in told], files
