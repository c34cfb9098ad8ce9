"""What a server counts, for Prometheus: the numbers of all its processes in one shared piece of memory.

Each process adds to a row of its own and any of them sums the rows, so that `/metrics` tells the same whichever process
answers. Knows nothing about pictures. The text is Prometheus's exposition format 0.0.4.
"""

import mmap
import os
import threading
import time
from bisect import bisect_left

import numpy as np

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ROUTES = ("/", "/page", "/v1/model", "/v1/predict", "/v1/samples", "/healthz", "/metrics", "/docs", "/openapi.json",
          "/reports", "other")  # fmt: skip
OTHER = 0  # any status that is not in the list
STATUSES = (200, 204, 304, 307, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 499, 500, 503, OTHER)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FACES = (1, 2, 4, 8, 16, 32)
SINGLE = (
    ("mien_pictures_read_total", "counter", "Pictures that were read."),
    ("mien_pictures_refused_total", "counter", "Pictures that could not be used."),
    ("mien_faces_read_total", "counter", "Faces that were read."),
    ("mien_pictures_waiting", "gauge", "Pictures that wait or are being read."),
    ("mien_body_bytes_waiting", "gauge", "Bytes of request bodies that are held."),
    ("process_resident_memory_bytes", "gauge", "Resident memory, of all worker processes."),
    ("process_cpu_seconds_total", "counter", "CPU time, of all worker processes."),
)
REQUESTS = "mien_requests_total"
HISTOGRAMS = (
    ("mien_predict_seconds", "Time from a whole request to its answer.", SECONDS),
    ("mien_batch_faces", "Faces that the network read at once.", FACES),
)

BOUNDS = {name: bounds for name, _, bounds in HISTOGRAMS}


def _slots() -> dict[tuple, int]:
    """Return the place of each number in a row."""
    keys = [(REQUESTS, route, status) for route in ROUTES for status in STATUSES]
    keys += [(name,) for name, _, _ in SINGLE]
    for name, _, bounds in HISTOGRAMS:
        keys += [(name, i) for i in range(len(bounds) + 1)] + [(name, "sum")]
    return {key: place for place, key in enumerate(keys)}


SLOTS = _slots()


class Metrics:
    """The numbers of all processes; made before these are, so that they share it."""

    def __init__(self, workers: int = 1) -> None:
        memory = mmap.mmap(-1, workers * len(SLOTS) * 8)
        self._rows = np.frombuffer(memory, np.float64).reshape(workers, len(SLOTS))
        self._own = self._rows[0]
        self._lock = threading.Lock()
        self.started = time.time()

    def belong_to(self, worker: int) -> None:
        """Say which process this is; what it held waiting before it was started again is forgotten."""
        self._own = self._rows[worker]
        for name, kind, _ in SINGLE:
            if kind == "gauge":
                self.set(name, 0)

    def add(self, name: str, value: float = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._own[SLOTS[name,]] += value

    def set(self, name: str, value: float) -> None:
        """Set a gauge of this process."""
        self._own[SLOTS[name,]] = value

    def request(self, route: str, status: int) -> None:
        """Count a request that was answered."""
        self._own[SLOTS[REQUESTS, route, status if status in STATUSES else OTHER]] += 1

    def observe(self, name: str, value: float) -> None:
        """Put a value into a histogram."""
        place = bisect_left(BOUNDS[name], value)
        with self._lock:
            self._own[SLOTS[name, place]] += 1
            self._own[SLOTS[name, "sum"]] += value

    def note_process(self) -> None:
        """Note what this process uses now."""
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        self.set("process_resident_memory_bytes", pages * os.sysconf("SC_PAGE_SIZE"))
        self.set("process_cpu_seconds_total", sum(os.times()[:2]))

    def text(self, version: str, model: str) -> str:
        """Return all numbers as Prometheus reads them."""
        sums = self._rows.sum(0)
        lines = ["# HELP mien_info What answers.", "# TYPE mien_info gauge"]
        lines.append(f'mien_info{{model="{_escaped(model)}",version="{version}"}} 1')
        lines += ["# HELP process_start_time_seconds Since when.", "# TYPE process_start_time_seconds gauge"]
        lines.append(f"process_start_time_seconds {self.started:.3f}")
        lines += [f"# HELP {REQUESTS} Requests answered.", f"# TYPE {REQUESTS} counter"]
        for route in ROUTES:
            counts = [(status, sums[SLOTS[REQUESTS, route, status]]) for status in STATUSES]
            lines += [f'{REQUESTS}{{route="{route}",status="{status or "other"}"}} {count:.0f}'
                      for status, count in counts if count]  # fmt: skip
        for name, kind, words in SINGLE:
            lines += [
                f"# HELP {name} {words}",
                f"# TYPE {name} {kind}",
                f"{name} {_number(sums[SLOTS[name,]])}",
            ]
        for name, words, bounds in HISTOGRAMS:
            lines += _histogram(name, words, bounds, sums)
        return "\n".join(lines) + "\n"


def _histogram(name: str, words: str, bounds, sums: np.ndarray) -> list[str]:
    counts = np.cumsum([sums[SLOTS[name, i]] for i in range(len(bounds) + 1)])
    lines = [f"# HELP {name} {words}", f"# TYPE {name} histogram"]
    edges = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    lines += [f'{name}_bucket{{le="{edge}"}} {count:.0f}' for edge, count in zip(edges, counts, strict=True)]
    return [*lines, f"{name}_sum {_number(sums[SLOTS[name, 'sum']])}", f"{name}_count {counts[-1]:.0f}"]


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.6f}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
