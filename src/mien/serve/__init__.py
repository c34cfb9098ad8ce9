"""Serving: the page and the recognizer behind HTTP. Knows nothing about training or judging.

`launch.py` has uvicorn run the application of `app.py` on the connections of `connection.py`. A request passes
`middleware.py`, then a route; for predictions `uploads.py` takes images in, `admission.py` bounds what waits, and
`pool.py` has them classified in other processes (`worker.py`).
"""

from mien.serve.settings import Limits, Settings

__all__ = ["Limits", "Settings", "serve"]


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first.

    Prints one line with the address once it listens. Raises ServeError or ModelError in one line where it cannot begin.
    """
    from mien.serve.launch import run

    run(settings)
