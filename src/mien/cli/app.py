"""What every command shares: the application, its errors in one line, the question whether to stop."""

import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Annotated, cast

import typer

from mien import __version__
from mien.errors import MienError, MissingExtra, Stopped
from mien.system import set_encoding
from mien.text import escaped, escaped_lines, shortened

LONGEST_REASON = 300  # characters of what a package says
EXIT_LEFT_OUT = 1
EXIT_ERROR = 2
EXIT_STOPPED = 130
# click's UsageError, which typer carries in itself or not; a BadParameter is one of a single option
USAGE_ERROR = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="mien",
    help="Trains, judges and ships recognizers of facial expression.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a command; every foreseen fault is one line on standard error and exit status 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Threads that spin while they wait for each other make training on a busy machine many times slower. OpenMP reads
    # this once, when torch loads it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names need not be UTF-8
        set_encoding(sys.stdout)
    if sys.stdout.isatty():
        sys.stdout = _Terminal(
            sys.stdout.buffer, sys.stdout.encoding, "backslashreplace", line_buffering=True
        )
    try:
        status = app(prog_name="mien", standalone_mode=False)
        if status == EXIT_STOPPED:  # typer's word for a KeyboardInterrupt
            raise KeyboardInterrupt
        sys.exit(status if isinstance(status, int) else 0)
    except USAGE_ERROR as error:
        sys.exit(_misused(error))
    except Stopped as stopped:
        sys.exit(_print_error(str(stopped), EXIT_STOPPED))
    except KeyboardInterrupt:
        sys.exit(_print_error("stopped; nothing half-done was kept", EXIT_STOPPED))
    except MienError as error:
        sys.exit(_print_error(str(error), EXIT_ERROR))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went, as `head` does
        sys.exit(EXIT_ERROR)
    except OSError as error:
        sys.exit(_print_error(f"{error.filename or 'a file'}: {error.strerror or error}", EXIT_ERROR))
    except ModuleNotFoundError as error:
        sys.exit(_print_error(str(missing_extra(error)), EXIT_ERROR))
    except ImportError as error:
        sys.exit(_print_error(_not_loaded(error), EXIT_ERROR))


def _open_standard_streams() -> None:
    """Have standard input, output and error lead nowhere where the caller closed them, as `>&-` does.

    Else the next file that is opened gets their number, and what is printed goes into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115


def _not_loaded(error: ImportError) -> str:
    """Return a line on a package that is installed and fails while it loads; an error of mien's own is raised."""
    package = (error.name or "a package that mien needs").partition(".")[0]
    if package == "mien":
        raise error
    reason = shortened(" ".join(str(error).split()), LONGEST_REASON)
    return f"{package} is installed and cannot be loaded: {reason}; mend or reinstall it"


class _Terminal(io.TextIOWrapper):
    """Standard output where people see it: nothing that files say reaches a terminal as anything but text."""

    def write(self, text: str) -> int:
        return super().write(escaped_lines(text))


def missing_extra(error: ModuleNotFoundError) -> MissingExtra:
    """Return the error that names the extra which brings a missing package."""
    extras = {"torch": "train", "safetensors": "train", "matplotlib": "compare", "pyarrow": "pack"}
    extras |= {"onnx": "train", "optuna": "tune", "cv2": "video", "ray": "ray"}
    extras |= dict.fromkeys(
        (
            "fastapi",
            "starlette",
            "uvicorn",
            "h11",
            "pydantic",
            "prometheus_client",
            "markdown_it",
            "python_multipart",
        ),
        "serve",
    )
    package = (error.name or "").partition(".")[0]
    if package not in extras:
        raise error
    return MissingExtra(f"{package} is not installed: pip install 'mien[{extras[package]}]'")


def _misused(error: typer.BadParameter) -> int:
    """Say in one line what is wrong with a command's options; a command without any shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return error.exit_code
    message = error.format_message().rstrip(".").replace(". Did you mean", "; did you mean")
    hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
    return _print_error(f"{message[:1].lower()}{message[1:]}{hint}", error.exit_code)


def _print_error(text: str, status: int) -> int:
    print(f"mien: {escaped(' '.join(text.split()))}", file=sys.stderr)
    return status


def note_renamed(overrides: Sequence[str]) -> None:
    """Print a line for each `key=value` whose field has another name by now; the value is used all the same."""
    from mien.recipe import current_name

    pairs = [(key.strip(), value.strip()) for key, _, value in (one.partition("=") for one in overrides)]
    network = dict(pairs).get("network.kind", "")
    for key, _ in pairs:
        if (current := current_name(key, network)) != key:
            print(f"mien: {escaped(key)} was renamed to {escaped(current)}", file=sys.stderr)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@contextmanager
def stop_asked():
    """Yield a question: was Ctrl-C pressed or SIGTERM sent? A second one stops at once."""
    signals = []

    def note(signum, frame):
        if signals:
            raise KeyboardInterrupt
        signals.append(signum)
        if signum == signal.SIGINT:
            os.write(2, b"\nmien: stopping; once more stops at once\n")  # print may be interrupted by itself

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(signals)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
