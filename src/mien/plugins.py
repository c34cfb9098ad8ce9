"""Code of users that a recipe names as `module:name`: a network, a loss, an augmentation. Knows nothing about torch.

A module is looked for where Python looks and last in the current folder. Importing it runs it with the user's rights,
so only what works with the code imports it: training, evaluating a run, exporting. What reads a recipe, a run or a
model does not.
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any

from mien.errors import MienError, RecipeError, enough_memory
from mien.labels import known_words
from mien.text import shortened

LONGEST_REASON = 300  # characters of what somebody's code says


def is_plugin(name: str) -> bool:
    """Tell whether a field's value names code of the user's own."""
    return ":" in name


def load_plugin(reference: str, field: str) -> Callable[..., Any]:
    """Return the class or function that `module:name` refers to; `field` is the recipe's, for errors.

    Raises RecipeError in one line for a module that is not there or fails while it is imported, and for a name that
    it does not have or that cannot be called.
    """
    module_name, _, name = reference.partition(":")
    if module_name.endswith(".py"):
        file = PurePath(module_name.removesuffix(".py"))
        dotted = file.name if file.is_absolute() else ".".join(file.parts)
        raise RecipeError(f'{field}: "{reference}" names a file; name its module: {dotted}:{name}')
    if not name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise RecipeError(f'{field}: "{reference}" is not module:name, as in my_package.my_module:MyNet')
    module = _imported(module_name, field)
    if not hasattr(module, name):
        known = [
            key for key, value in vars(module).items() if getattr(value, "__module__", "") == module_name
        ]
        place = getattr(module, "__file__", None) or "a folder without __init__.py"
        raise RecipeError(f"{field}: {module_name} ({place}) has no {name}{known_words(name, known)}")
    target = getattr(module, name)
    if not callable(target):
        raise RecipeError(f"{field}: {reference} is no class or function but {shortened(repr(target), 60)}")
    return target


def _imported(name: str, field: str):
    if "" not in sys.path and (here := _current_folder()) and here not in sys.path:
        sys.path.append(here)  # last, so that a file there cannot stand for an installed package
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise RecipeError(
                f'{field}: there is no module "{error.name}", neither installed nor in {_current_folder()}'
            ) from None
        raise RecipeError(f"{field}: {name} cannot be imported ({reason_in_code(error)})") from None
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{field}: {name} cannot be imported ({reason_in_code(error)})") from None


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # deleted meanwhile
        return ""


@contextmanager
def user_code(what: str, code: Callable[..., Any] | None = None) -> Iterator[None]:
    """Raise RecipeError in one line, "`what`: reason", for what somebody's `code` raises.

    Mien's own errors stay what they are; too little memory is OutOfMemory.
    """
    try:
        with enough_memory(what):
            yield
    except MienError:
        raise
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{what}: {reason_in_code(error, code)}") from None


def reason_in_code(error: BaseException, code: Callable[..., Any] | None = None) -> str:
    """Return in one line what an exception says and where it was raised: in the file of `code`, if it came by there."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    module = sys.modules.get(getattr(code, "__module__", ""))
    own = [frame for frame in frames if frame.filename == getattr(module, "__file__", None)]
    text = shortened(" ".join(str(error).split()), LONGEST_REASON)
    where = f" ({Path(frame.filename).name}, line {frame.lineno})" if (frame := (own or frames)[-1]) else ""
    if isinstance(error, SyntaxError):
        where = ""  # its text says so
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"
