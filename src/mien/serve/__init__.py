"""Serving: the page and the recognizer behind HTTP, on this machine. Knows nothing about training or judging.

`settings.py` says what may be asked of a server, `processes.py` starts and stops it, `connection.py` is one client's
connection, `guard.py` stands before every route, `app.py` has the routes. Of these `uploads.py` takes pictures in,
`reading.py` reads them on threads and in batches, `assets.py` and `reports.py` give files, `about.py` tells of the
model, `gallery.py` of the samples, `metrics.py` counts.
"""

from mien.serve.settings import Limits, Settings

__all__ = ["Limits", "Settings", "serve"]


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight is finished first.

    Prints one line with the address once it answers. Raises ServeError or ModelError in one line where it cannot begin.
    """
    from mien.serve.processes import run

    run(settings)
