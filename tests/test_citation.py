import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
REQUIRED = {"cff-version": "1.2.0", "type": "software"}


def test_the_citation_file_is_of_this_version_and_has_what_the_format_requires():
    """CITATION.cff 1.2.0: message, title and at least one named author; version and licence are the project's."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert REQUIRED == {key: citation[key] for key in REQUIRED}
    assert citation["message"] and project["name"] in citation["title"]
    assert citation["authors"] and all(author["name"] for author in citation["authors"])
    assert project["version"] == citation["version"]
    assert citation["license"] in project["license"].split(" AND ")
    assert project["keywords"] == citation["keywords"]
