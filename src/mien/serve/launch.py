"""Starting and stopping: a listening socket, and uvicorn with one worker or several behind it. Knows no route."""

import functools
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from mien.errors import MienError, ServeError
from mien.serve.settings import Settings, check
from mien.system import IN_MEMORY, prepare_listener

STALL_SECONDS = 300  # for a client to read anything at all of what it was sent
FINISH_SECONDS = 5  # beside the time limit of a request, to finish when the server stops
STOPPED_AT_ONCE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(settings: Settings) -> None:
    """Serve until a signal; see `mien.serve.serve`."""
    check(settings)
    settings = _with_device(settings)
    with _metrics_folder(), _listening(settings) as listener:
        import mien.serve.app  # noqa: F401  (a package that is missing is told before anything else)

        _announce(settings, listener, settings.read_model().name)
        run_all = _work if settings.workers == 1 else lambda *args: _Supervisor(*args).run()
        status = run_all(settings, listener)
    if status:
        sys.exit(status)


def _with_device(settings: Settings) -> Settings:
    """Return the settings with the device that is meant, tried; DeviceError where it cannot be used."""
    if settings.device == "cpu":
        return settings
    from mien.predict.recognizer import Recognizer

    recognizer = Recognizer(settings.model, device=settings.device)
    if recognizer.device_note:
        print(f"mien: {recognizer.device_note}", file=sys.stderr)
    return replace(settings, device=recognizer.device)


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """Make the folder in which all processes count, and remove it at the end."""
    folder = tempfile.mkdtemp(
        prefix="mien-metrics-", dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    )
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # prometheus_client reads it when it is imported
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Yield a socket that listens at the address; ServeError where it cannot be had."""
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ServeError(f'--host "{host}" is no address of this machine') from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as listener:
        try:
            prepare_listener(listener, STALL_SECONDS)
            listener.bind(address)
            listener.listen()
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            hint = "; give another --port, or 0 for any that is free" if "in use" in words else ""
            raise ServeError(f"cannot listen at {host}, port {port}: {words}{hint}") from None
        yield listener


def _announce(settings: Settings, listener: socket.socket, model: str) -> None:
    """Print where the server is."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    count = f" from {settings.workers} workers" if settings.workers > 1 else ""
    address = f"http://{host}:{listener.getsockname()[1]}{settings.root_path}/"
    print(f"mien serves {model}{count} at {address} (Ctrl-C stops it)", flush=True)
    if not settings.loopback and settings.api_key is None:
        print("mien: others can reach it, and no API key is set: --api-key-file FILE", file=sys.stderr)


def _work(settings: Settings, listener: socket.socket) -> int:
    """Run uvicorn in this process until a signal; return the exit status.

    A second Ctrl-C has what is in flight answered with 503.
    """
    import uvicorn

    from mien.serve.app import application
    from mien.serve.connection import HEAD_BYTES, HEAD_SECONDS, Connection, connections_allowed

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            if self.force_exit:
                for task in self.server_state.tasks:
                    task.get_loop().call_soon_threadsafe(task.cancel)

    most, backlog = connections_allowed()
    config = uvicorn.Config(
        application(settings),
        http=functools.partial(Connection, most=most, proxy=settings.proxy),  # type: ignore[arg-type]
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `middleware.around` takes them
        backlog=backlog,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=int(HEAD_SECONDS),
        timeout_graceful_shutdown=int(settings.limits.seconds) + FINISH_SECONDS,
    )
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)  # uvicorn raises a signal again when it has stopped
    server = Server(config)
    server.run([listener])
    return STOPPED_AT_ONCE if server.force_exit else 0


class _Supervisor:
    """Runs several workers on one socket, starts one again that ended by itself, and stops them all."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._workers: list[SpawnProcess] = []
        self._signals: list[int] = []

    def run(self) -> int:
        """Return the exit status when all have ended; where one cannot work the others are stopped, too."""
        from prometheus_client.multiprocess import mark_process_dead

        for number in SIGNALS:
            signal.signal(number, self._stop)
        for _ in range(self._settings.workers):
            self._start()
        statuses = []
        while self._workers:
            ended = wait([worker.sentinel for worker in self._workers])
            for worker in [one for one in self._workers if one.sentinel in ended]:
                self._workers.remove(worker)
                worker.join()
                mark_process_dead(worker.pid)  # its gauges are forgotten, its counts stay
                statuses.append(status := worker.exitcode or 0)
                if not self._signals and status < 0:  # killed
                    words = f"mien: a worker ended by signal {-status} and is started again"
                    print(words, file=sys.stderr, flush=True)
                    self._start()
                elif not self._signals:
                    self._stop(signal.SIGTERM, None)
        return max(statuses)

    def _start(self) -> None:
        worker = get_context("spawn").Process(target=_worker, args=(self._settings, self._listener))
        worker.start()
        self._workers.append(worker)
        if self._signals:  # one came meanwhile
            worker.terminate()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on; the second one ends the workers at once."""
        self._signals.append(number)
        for worker in self._workers:
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGTERM if len(self._signals) == 1 else signal.SIGINT)


def _worker(settings: Settings, listener: socket.socket) -> None:
    try:
        sys.exit(_work(settings, listener))
    except MienError as error:
        print(f"mien: {error}", file=sys.stderr)
        sys.exit(2)
