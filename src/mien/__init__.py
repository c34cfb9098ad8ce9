"""mien trains, judges and ships recognizers of facial expression.

Importing it does nothing but keep onnxruntime from telling its maker of each use. Every command has a room of the same
name and, in it, a function of the same name: `from mien.judge import judge`. What classifies faces in pictures comes
with `from mien import Recognizer, PictureError`.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# Since 1.29 onnxruntime sends events over the network unless told not to before it is loaded; mien sends nothing.
for _name in (
    "ORT_DISABLE_TELEMETRY",
    "ORT_TELEMETRY_DISABLED",
):  # what it is called now, and was called first
    os.environ.setdefault(_name, "1")

if TYPE_CHECKING:
    from mien.errors import MienError, PictureError
    from mien.predict import BatchPredictor, FaceExpression, Recognizer

__all__ = ["BatchPredictor", "FaceExpression", "MienError", "PictureError", "Recognizer"]
__version__ = "0.1.0"

_PLACES = {"MienError": "mien.errors", "PictureError": "mien.errors"}
_PLACES |= dict.fromkeys(("BatchPredictor", "FaceExpression", "Recognizer"), "mien.predict")


def __getattr__(name: str) -> type:
    """Import what this module offers of others, once it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
