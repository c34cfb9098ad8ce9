import io
import json

import pytest
from known_function import plan_of, train_trial

from mien.tune import trial
from mien.tune.search import tune
from mien.tune.study import read_study


def asked(app, path: str) -> dict:
    """Return what a WSGI application answers a GET request with, as JSON."""
    statuses = []
    environment = {
        **{"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "localhost"},
        **{"SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_ACCEPT_ENCODING": ""},
        **{"wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO()},
    }
    body = app(environment, lambda status, headers, *_: statuses.append(status))
    assert "200 OK" == statuses[0]
    return json.loads(b"".join(body))


def test_optuna_dashboard_shows_a_search_of_ours(toy, tmp_path, monkeypatch):
    """Its own application lists the study and gives every trial's parameters, values and curve from journal.log."""
    dashboard = pytest.importorskip("optuna_dashboard")
    storage_url = pytest.importorskip("optuna_dashboard._storage_url")  # what its command opens a path with
    monkeypatch.setattr(trial, "train_trial", train_trial)
    folder = tmp_path / "search"
    tune(plan_of(toy, folder, trials=3))
    app = dashboard.wsgi(storage_url.get_storage(str(folder / "journal.log")))
    (listed,) = asked(app, "/api/studies")["study_summaries"]
    detail = asked(app, f"/api/studies/{listed['study_id']}")
    study = read_study(folder)

    assert study.name == listed["study_name"] == detail["name"]
    assert [t.number for t in study.trials] == [t["number"] for t in detail["trials"]]
    assert [list(t.values) for t in study.trials] == [t["values"] for t in detail["trials"]]
    assert {"optimizer.lr", "augment.flip"} <= {p["name"] for p in detail["trials"][0]["params"]}
    assert 6 == len(detail["trials"][0]["intermediate_values"])
