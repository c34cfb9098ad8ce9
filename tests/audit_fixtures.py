"""The data sets and audits that the tests of the audit share; had by `pytest_plugins`."""

import pytest
from audit_faces import fine_rows, rows_in_question

from mien.audit import audit


@pytest.fixture(scope="session")
def rows():
    """The rows of the data set in question."""
    return rows_in_question()


@pytest.fixture(scope="session")
def faces(rows, tmp_path_factory):
    """The data set in question."""
    return rows.write(tmp_path_factory.mktemp("faces") / "toy")


@pytest.fixture(scope="session")
def made(faces, tmp_path_factory):
    """Its audit with a cleaned data set beside."""
    folder = tmp_path_factory.mktemp("audits")
    return audit(faces, folder / "audit", drop=folder / "cleaned")


@pytest.fixture(scope="session")
def fine(tmp_path_factory):
    """The audit of a data set in which nothing is in question and which has no votes."""
    folder = tmp_path_factory.mktemp("fine")
    return audit(fine_rows(seed=3).write(folder / "faces", votes=False), folder / "audit")
