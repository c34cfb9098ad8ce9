"""What a server counts, for Prometheus. Knows nothing about pictures.

`prometheus_client` keeps the numbers of each process in files that all processes read, so `/metrics` says the same
whichever process answers, and what an ended process has counted stays. `launch.py` makes the folder of these files
before this module is imported.
"""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REQUESTS = Counter("mien_requests", "Requests answered.", ("route", "status"))
PREDICT_SECONDS = Histogram(
    "mien_predict_seconds", "Time from a whole request to its answer, whatever that is.", buckets=SECONDS
)
PICTURES_READ = Counter("mien_pictures_read", "Pictures that were classified.")
PICTURES_REFUSED = Counter("mien_pictures_refused", "Pictures that could not be used.")
FACES_READ = Counter("mien_faces_read", "Faces that were classified.")
PICTURES_WAITING = Gauge(
    "mien_pictures_waiting", "Pictures that wait or are classified.", multiprocess_mode="livesum"
)
BYTES_WAITING = Gauge(
    "mien_body_bytes_waiting", "Bytes of bodies that are held.", multiprocess_mode="livesum"
)
INFO = Gauge("mien_info", "What answers.", ("model", "version"), multiprocess_mode="livemax")


def count_request(route: str, status: int) -> None:
    """Count a request that is answered."""
    REQUESTS.labels(route, str(int(status))).inc()


def response() -> Response:
    """Return all numbers as Prometheus reads them."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    headers = {"cache-control": "no-store"}
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST, headers=headers)
