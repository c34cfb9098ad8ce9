"""mien trains, judges and ships recognizers of facial expression.

Importing it does nothing but keep onnxruntime from telling its maker of each use. Every command has a room of the same
name and, in it, a function of the same name: `from mien.judge import judge`. `from mien import Recognizer` brings what
reads pictures.
"""

import os
from typing import TYPE_CHECKING

# Since 1.29 onnxruntime sends events over the network unless told not to before it is loaded; mien sends nothing.
for _name in (
    "ORT_DISABLE_TELEMETRY",
    "ORT_TELEMETRY_DISABLED",
):  # what it is called now, and was called first
    os.environ.setdefault(_name, "1")

if TYPE_CHECKING:
    from mien.predict import Recognizer

__all__ = ["Recognizer"]
__version__ = "0.1.0"


def __getattr__(name: str):
    """Import what this module lends from a room, once it is asked for."""
    if name != "Recognizer":
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    from mien.predict import Recognizer

    return Recognizer
