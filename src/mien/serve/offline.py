"""The service worker of the page: its script, headed by the files that it stores. Knows nothing about routes."""

import hashlib
import json
from collections.abc import Mapping

from mien.serve.assets import VERSION_LETTERS, Asset

SCRIPT = "service-worker.js"  # at the root, since a service worker controls the page only from there


def service_worker(page: Mapping[str, Asset], answers: Mapping[str, Asset]) -> Asset:
    """Return the script `page/service-worker.js` with a list of what it stores before it.

    `page` are the files below `/page/` by name, `answers` what else the page asks for, by its address relative to the
    root. The list has a version made of all their contents: when one of them changes the script changes, which is how
    browsers learn to store all of them anew.
    """
    script = page[SCRIPT].plain
    assert script is not None  # only files that are stored as gzip have none
    stored = {"./": page["index.html"]}
    stored |= {f"page/{name}": asset for name, asset in page.items() if name not in ("index.html", SCRIPT)}
    stored |= answers
    contents = json.dumps({address: asset.sha256 for address, asset in stored.items()}, sort_keys=True)
    version = hashlib.sha256(contents.encode() + script).hexdigest()[:VERSION_LETTERS]
    head = json.dumps({"version": version, "addresses": list(stored)})
    return Asset.of(f"const STORED = {head};\n".encode() + script, ".js")
