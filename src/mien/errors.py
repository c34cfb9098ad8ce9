"""Every error that mien raises on purpose. Knows nothing about anything else.

MienError
├── DataError          a source, a data set or a table that cannot be used
│   ├── PictureError   one picture that cannot be used; the message is the reason alone
│   │   ├── UnknownPicture   a file that is no picture of a kind that mien reads
│   │   └── TooManyPixels    a picture that is larger than it may be
│   └── VideoError     one video or camera that cannot be used, or not to its end; the same
├── RecipeError        a recipe or an override that cannot be used
├── RunError           a run folder that cannot be used
│   └── OutOfMemory    a training that needs more memory than there is
├── ModelError         a model file that cannot be used, or made
│   └── DeviceError    a processor that cannot run a network, or not as the CPU does
├── TuneError          a space, a search or its storage that cannot be used
├── ServeError         an address, an option or a folder that the server cannot use
├── StorageError       a file that could not be written or locked
│   └── FolderExists   a folder that was to be made, and that another process made meanwhile
├── MissingExtra       a package of an extra is not installed (also an ImportError)
├── TrainingDiverged   a loss that is not finite
└── Stopped            the user asked to stop

The command line catches the root alone: one line on standard error, exit status 2
(130 for `Stopped`). So a message says what is wrong, where (file, row) and what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MienError(Exception):
    """Root of the tree."""


class DataError(MienError):
    """A source, a data set or a table of predictions that cannot be used."""


class PictureError(DataError):
    """A picture that cannot be used. The message is the reason; who knows the place adds it."""


class UnknownPicture(PictureError):
    """A file that is no picture of a kind that mien reads."""


class TooManyPixels(PictureError):
    """A picture that is larger than it may be."""


class VideoError(DataError):
    """A video or camera that cannot be used, or not to its end. The message is the reason, as there."""


class RecipeError(MienError):
    """A recipe or an override that cannot be used; the message lists every fault."""


class RunError(MienError):
    """A run folder that cannot be used."""


class OutOfMemory(RunError):
    """A training that needs more memory than there is."""


class ModelError(MienError):
    """A model file that cannot be used, or that cannot be made of the runs given."""


class DeviceError(ModelError):
    """A processor, as a GPU, that cannot be used here, or whose answers are not the CPU's."""


class TuneError(MienError):
    """A space, a search or its storage that cannot be used; of a space the message lists every fault."""


class ServeError(MienError):
    """An address, an option or a folder that the server cannot use."""


class StorageError(MienError):
    """A file or folder that could not be written, or that another process holds."""


class FolderExists(StorageError):
    """A folder that was to be made and is there, as another process made it meanwhile."""


class MissingExtra(MienError, ImportError):
    """A package that belongs to an extra is not installed."""


class TrainingDiverged(MienError):
    """The loss is not finite; the run keeps its last good state."""


class Stopped(MienError):
    """The user asked to stop; the message says what was kept."""


NO_MEMORY = ("out of memory", "allocate memory")  # in what torch says of GPUs and of CPUs


@contextmanager
def enough_memory(where: str | Path) -> Iterator[None]:
    """Raise OutOfMemory for what Python or torch say in this block of too little memory for a training."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)):
            raise
        raise OutOfMemory(
            f"{where}: not enough memory; lower training.batch_size or the network's size"
        ) from error
