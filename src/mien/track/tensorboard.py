"""Runs as event files, which TensorBoard reads: a folder a run below the one given. Needs tensorboardX."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from mien.errors import StorageError
from mien.files import make_folder, write_atomic
from mien.reading import read_text, sha256_file
from mien.run import Run
from mien.track.record import CURVES, Result, Setting

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

SUFFIX = ".mien"  # of the names of our event files
OWNER = "run.sha256"  # in a run's folder: sha256 of the run.json that it is a copy of

COLUMNS = (
    "val/accuracy",
    "final/test/accuracy",
    "final/test-clean/accuracy",
    "final/test/macro_f1",
)  # of HPARAMS


class TensorBoard:
    """Event files below a folder. A run's earlier ones are replaced when it is copied again."""

    def __init__(self, folder: Path):
        import tensorboardX  # noqa: F401 (that it is missing shows before anything is written)

        self._folder = folder
        self._writers: dict[str, SummaryWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def begin(self, name: str, run: Run, settings: Mapping[str, Setting]) -> None:
        """Start the run's event file; StorageError where its folder is another run's."""
        from tensorboardX import SummaryWriter
        from tensorboardX.summary import hparams

        folder, digest = self._folder / name, sha256_file(run.folder / "run.json")
        owner = folder / OWNER
        if owner.exists() and read_text(owner, 100) != digest:
            raise StorageError(f"{folder}: holds another run of that name; give another folder")
        make_folder(folder)
        for earlier in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
            earlier.unlink()
        write_atomic(owner, digest)
        writer = self._writers[name] = SummaryWriter(str(folder), filename_suffix=SUFFIX)
        file_writer = writer.file_writer
        assert file_writer is not None  # of a writer that writes to a disk
        experiment, started, _ = hparams(dict(settings), dict.fromkeys(COLUMNS))
        file_writer.add_summary(experiment)
        file_writer.add_summary(started)

    def epoch(self, name: str, epoch: int, curves: Mapping[str, float]) -> None:
        """Write an epoch's figures."""
        for key, value in curves.items():
            self._writers[name].add_scalar(CURVES + key, value, epoch)

    def finish(self, name: str, epochs: int, result: Result, pages: Sequence[Path]) -> None:
        """Write final figures, their intervals as _low and _high, the summary as text, the report's as images."""
        writer = self._writers[name]
        for key, value in result.numbers().items():
            writer.add_scalar(key, value, epochs)
        writer.add_text("summary", result.summary, epochs)
        for page in pages:
            if page.suffix == ".png":
                writer.add_image(f"report/{page.stem}", _pixels(page), epochs, dataformats="HWC")

    def flush(self) -> None:
        """Write what waits to the files."""
        for writer in self._writers.values():
            writer.flush()


def _pixels(path: Path) -> np.ndarray:
    """Return a figure, uint8 (H, W, 3)."""
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image.convert("RGB"))
