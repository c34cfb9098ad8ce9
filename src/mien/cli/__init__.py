"""The command line: each command parses, calls the function of its room, and prints. Knows nothing else.

Rooms are imported when their command runs, so `mien --help` needs none of them.
"""

from mien.cli import data, training, judging, reading, video, tuning  # noqa: F401, I001 (the order of `mien --help`)
from mien.cli.app import app, main, missing_extra

__all__ = ["app", "main", "missing_extra"]
