import subprocess
from importlib.metadata import version

import pytest

from mien.run import read_run
from mien.train.environment import git_commit


def git(folder, *arguments: str) -> str:
    """Run git without the user's settings; return what it prints."""
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with one committed file and one that git does not track."""
    git(tmp_path, "init", "-q")
    (tmp_path / "net.py").write_text("width = 8\n")
    git(tmp_path, "add", "net.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    (tmp_path / "notes.txt").write_text("untracked\n")
    return tmp_path


def test_a_run_records_installed_packages_machine_and_commits(toy_run):
    """environment.json lists what `pip freeze` does; where mien is a clone, with its commit."""
    environment = read_run(toy_run).environment()

    assert version("numpy") == environment["installed"]["numpy"]
    assert {"cpu", "cores", "system", "python"} <= set(environment["machine"])
    assert all(40 == len(one["commit"]) for one in environment["source"].values())


def test_a_commit_is_that_of_the_folder_and_says_whether_tracked_files_changed(repository):
    """Untracked files do not count; an edited one does."""
    head = git(repository, "rev-parse", "HEAD")

    assert {"commit": head, "changed": False} == git_commit(repository)
    (repository / "net.py").write_text("width = 9\n")
    assert {"commit": head, "changed": True} == git_commit(repository)


def test_a_folder_that_git_does_not_track_has_no_commit(repository, tmp_path_factory):
    """Neither outside a repository, nor in an ignored folder of one, such as a virtual environment."""
    ignored = repository / "venv"
    ignored.mkdir()
    (ignored / "module.py").write_text("")

    assert git_commit(ignored) is None
    assert git_commit(tmp_path_factory.mktemp("elsewhere")) is None
    assert git_commit(repository / "gone") is None
