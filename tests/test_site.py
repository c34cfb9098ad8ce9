"""The site: nothing public is missing from its reference, and it opens without the network."""

import dataclasses
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from browser import serious

import mien
from mien.cli import app
from mien.recipe import NETWORKS, Recipe

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
generated = importlib.import_module("generated")


def test_every_command_and_option_is_in_the_reference():
    """Each command that --help names has a heading, and each of its options a row."""
    page = generated.commands()
    for name, command in typer.main.get_command(app).commands.items():
        if command.hidden:
            continue
        assert f"\n## mien {name}\n" in page
        options = [
            one.opts[0] for one in command.params if one.param_type_name == "option" and not one.hidden
        ]
        assert [] == [option for option in options if option != "--help" and f"| `{option}" not in page], name


def test_every_field_of_a_recipe_is_in_the_reference():
    """Each field of each section, and of each kind of network, has a row with its default."""
    page = generated.recipes()
    sections = [
        (one.name, one.type) for one in dataclasses.fields(Recipe) if dataclasses.is_dataclass(one.type)
    ]
    for prefix, cls in [*sections, *(("network", cls) for cls in NETWORKS.values())]:
        assert [] == [f.name for f in dataclasses.fields(cls) if f"| `{prefix}.{f.name}` |" not in page]


def test_fields_say_what_they_mean():
    """What stands behind a field in the source is its meaning in the reference."""
    assert "squeeze-and-excitation" in generated.field_comments()["DenseNet"]["se_ratio"]
    assert "stochastic depth" in generated.recipes()


def test_every_route_is_in_the_reference():
    """Each route of the server has a heading with its answers."""
    page = generated.http()

    for route in ("POST /v1/predict", "GET /v1/model", "GET /healthz", "GET /metrics"):
        assert f"\n## {route}\n" in page
    assert "| `429` |" in page or "| `503` |" in page


def test_every_package_that_is_a_command_is_in_the_python_reference():
    """A module whose name is that of a command has a page, and so has what `mien` itself offers."""
    commands = typer.main.get_command(app).commands
    described = {name.split(".")[1] for name in generated.MODULES if "." in name}

    assert {module.name for module in pkgutil.iter_modules(mien.__path__)} & set(commands) <= described
    assert {f"reference/python/{name}.rst" for name in generated.MODULES} <= set(generated.python())


def test_every_page_of_docs_is_in_the_index():
    """Each page that was written by hand is reached from the table of contents."""
    index = (ROOT / "docs" / "index.md").read_text()
    written = subprocess.run(["git", "ls-files", "docs/*.md"], cwd=ROOT, capture_output=True, text=True)
    pages = [name.removeprefix("docs/").removesuffix(".md") for name in written.stdout.split()]

    assert [] == [page for page in pages if page != "index" and not re.search(rf"^{page}$", index, re.M)]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built anew; Sphinx must not warn, as it does of a link that leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_asks_nobody(site):
    """No page loads anything from another host, and what autodoc fills is there."""
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="([^"]+)"', page.read_text())
        assert [] == [address for address in loaded if address.startswith(("http:", "https:", "//"))], (
            page.name
        )
    assert "mien.Recognizer" in (site / "reference" / "python" / "mien.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light"), (1920, "dark")])
def test_the_site_can_be_used_by_everybody(site, browser, width, scheme):
    """At each width nothing reaches out of the page, and axe-core finds nothing serious."""
    for name in (
        "index",
        "start/comparison",
        "reference/commands",
        "reference/python/mien",
        "study",
        "results",
    ):
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.goto((site / f"{name}.html").as_uri())
        overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found = serious(tab)
        tab.close()

        assert (0, []) == (max(0, overflow), found), name
