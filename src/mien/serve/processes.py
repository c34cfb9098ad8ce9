"""Starting and stopping: a socket, one process or several behind it, a graceful end. Knows no route.

Several processes share one listening socket; who is free takes the next connection. The parent holds a pipe open: when
it goes, however it goes, its children see the end of the pipe and stop.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import contextmanager, nullcontext
from functools import partial

from mien.errors import MienError, ServeError
from mien.serve.metrics import Metrics
from mien.serve.settings import Settings, check

BACKLOG = 512  # connections that the kernel keeps for us
KEEP_ALIVE_SECONDS = 15
NOTE_SECONDS = 2.0  # how often a process notes what it uses
SOON = 10.0  # seconds; a process that ends so soon after its start is not started a third time
MOST_SOON = 3
STOPPED_AT_ONCE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(settings: Settings) -> None:
    """Serve until a signal; see `mien.serve.serve`."""
    check(settings)
    import fastapi  # noqa: F401  (what is missing is told before anything is begun)
    import uvicorn  # noqa: F401

    with _listening(settings) as listener:
        metrics = Metrics(settings.workers)
        if settings.workers == 1:
            _serve(settings, listener, metrics, ready=lambda model: _say(settings, listener, model))
        else:
            _Parent(settings, listener, metrics).run()


@contextmanager
def _listening(settings: Settings):
    """Yield a socket that listens at the address; ServeError where it cannot be had."""
    where = f"{settings.host}, port {settings.port}"
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):
        raise ServeError(f'--host "{settings.host}" is no address of this machine') from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        said = fault.strerror or str(fault)
        hint = "; give another --port, or 0 for any that is free" if "in use" in said else ""
        raise ServeError(f"cannot listen at {where}: {said.lower()}{hint}") from None
    try:
        yield listener
    finally:
        listener.close()


def _say(settings: Settings, listener: socket.socket, model: str) -> None:
    """Print where the server is."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    print(f"mien serves {model} at http://{host}:{listener.getsockname()[1]}/ (Ctrl-C stops it)", flush=True)
    if not settings.loopback and settings.api_key is None:
        print(
            "mien: others can reach it, and no API key is set: --api-key-file FILE",
            file=sys.stderr,
            flush=True,
        )


def _serve(settings: Settings, listener, metrics: Metrics, *, ready, lifeline: int | None = None) -> None:
    """Serve in this process until a signal, or until the lifeline's other end is gone."""
    from mien.model import read_model
    from mien.predict import Recognizer
    from mien.serve.app import application
    from mien.serve.connection import Connection

    recognizer = Recognizer(read_model(settings.model, threads=1), threads=1)
    import uvicorn

    config = uvicorn.Config(
        application(settings, recognizer, metrics),
        http=Connection,
        ws="none",
        loop="asyncio",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=settings.proxy is not None,
        forwarded_allow_ips=settings.proxy,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.limits.seconds) + 5,
    )
    told = partial(ready, recognizer.model.name)
    server = uvicorn.Server(config)
    asyncio.run(_until_stopped(server, listener, metrics, told, lifeline))
    if server.force_exit:
        os._exit(STOPPED_AT_ONCE)  # a thread may be in the midst of a network, which cannot be unloaded then


async def _until_stopped(server, listener, metrics: Metrics, ready, lifeline: int | None) -> None:
    """Run uvicorn's server; the first signal stops it gracefully, a second one at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    def orphaned() -> None:
        loop.remove_reader(lifeline)
        stop()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    if lifeline is not None:
        loop.add_reader(lifeline, orphaned)
    helper = asyncio.create_task(_note(server, metrics, ready))
    server.capture_signals = nullcontext  # uvicorn's own would raise the signal again after a graceful stop
    await server.serve([listener])
    helper.cancel()


async def _note(server, metrics: Metrics, ready) -> None:
    """Tell once that the server answers, then note now and then what the process uses."""
    while not server.started:
        await asyncio.sleep(0.01)
    ready()
    while True:
        metrics.note_process()
        await asyncio.sleep(NOTE_SECONDS)


class _Parent:
    """Starts the processes, starts one again that died, and stops them all."""

    def __init__(self, settings: Settings, listener: socket.socket, metrics: Metrics) -> None:
        self._settings = settings
        self._listener = listener
        self._metrics = metrics
        self._children: dict[int, tuple[int, float]] = {}  # worker and start by process
        self._soon = 0
        self._stopping = 0
        self._lifeline = os.pipe()

    def run(self) -> None:
        """Serve until a signal."""
        for number in SIGNALS:
            signal.signal(number, self._stop)
        pipes = [self._start(worker) for worker in range(self._settings.workers)]
        try:
            said = [_said(pipe) for pipe in pipes]
            fault = next((text for kind, text in said if kind != "ready"), None)
            if fault is not None and not self._stopping:
                raise ServeError(fault or "a process ended while it started")
            if not self._stopping:
                _say(self._settings, self._listener, f"{said[0][1]} from {len(pipes)} processes")
            self._watch()
        finally:
            self._end()

    def _start(self, worker: int) -> int:
        """Start a process; return the pipe by which it tells that it is ready, or why not."""
        reading, writing = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        process = os.fork()
        if process == 0:
            os.close(reading)
            os.close(self._lifeline[1])
            _child(self._settings, self._listener, self._metrics, worker, writing, self._lifeline[0])
        self._children[process] = worker, time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(writing)
        return reading

    def _stop(self, number: int, frame) -> None:
        self._stopping += 1
        for process in list(self._children):
            _signal(process, signal.SIGTERM)

    def _watch(self) -> None:
        """Wait for processes to end; start again what ended by itself."""
        while self._children:
            process, status = os.waitpid(-1, 0)
            worker, started = self._children.pop(process, (None, 0.0))
            if self._stopping or worker is None:
                continue
            self._soon = self._soon + 1 if time.monotonic() - started < SOON else 0
            how = f"status {os.waitstatus_to_exitcode(status)}"
            if self._soon >= MOST_SOON:
                raise ServeError(f"a process ended by itself again and again ({how}); all were stopped")
            print(
                f"mien: a process ended by itself ({how}) and is started again", file=sys.stderr, flush=True
            )
            os.close(self._start(worker))

    def _end(self) -> None:
        """Stop what is left and wait for it."""
        self._stop(signal.SIGTERM, None)
        while self._children:
            process, _ = os.waitpid(-1, 0)
            self._children.pop(process, None)


def _said(pipe: int) -> tuple[str, str]:
    """Return what a process says of its start."""
    with open(pipe, encoding="utf-8") as file:
        kind, _, text = file.read().partition("\n")
    return kind, text


def _child(settings: Settings, listener, metrics: Metrics, worker: int, pipe: int, lifeline: int) -> None:
    """Be one of the processes; never returns."""
    status, told = 2, []

    def tell(kind: str, text: str) -> None:
        """Tell the parent once how the start went; what comes later goes to standard error."""
        if told:
            print(f"mien: {text}", file=sys.stderr, flush=True)
            return
        told.append(kind)
        try:
            os.write(pipe, f"{kind}\n{text}".encode())
        except BrokenPipeError:
            pass  # a process that was started again: nobody waits for its word
        os.close(pipe)

    try:
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        metrics.belong_to(worker)
        _serve(settings, listener, metrics, ready=lambda model: tell("ready", model), lifeline=lifeline)
        status = 0
    except MienError as fault:
        tell("fault", str(fault))
    except KeyboardInterrupt:
        status = 130
    except BaseException as fault:
        tell("fault", f"a process ended ({type(fault).__name__}: {fault})")
    finally:
        os._exit(status)


def _signal(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
