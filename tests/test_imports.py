import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mien

PACKAGE = Path(mien.__file__).parent
ARCHITECTURE = Path(__file__).parent.parent / "docs" / "architecture.md"


def rooms() -> dict[str, set[str]]:
    """Return the rooms of docs/architecture.md's table, top to bottom, with the heavy packages each owns."""
    rows = re.findall(r"^\| ((?:`\w+(?:/|\.py)` ?)+) \|.*\| ([^|]*) \|$", ARCHITECTURE.read_text(), re.M)
    return {
        room.removesuffix(".py").rstrip("/"): set(re.findall(r"`(\w+)`", needs))
        for names, needs in rows
        for room in re.findall(r"`([\w./]+)`", names)
    }


ROOMS = rooms()
ORDER = list(ROOMS)
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or not p.stem.startswith("__"))
LIGHT = {"numpy", "mien", *sys.stdlib_module_names}


def room_of(module: Path) -> str:
    """Return the room that a module stands in."""
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(module: Path) -> list[tuple[str, bool]]:
    """Return each imported module's dotted name and whether the import stands at the top level."""
    tree = ast.parse(module.read_text())
    top = set(tree.body)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = [f"mien.{a.name}" for a in node.names] if node.module == "mien" else [node.module]
            found += [(name, node in top) for name in names]
    return found


def test_every_room_stands_in_the_table():
    """docs/architecture.md lists the rooms there are, and no others."""
    assert {room_of(module) for module in MODULES} == set(ORDER)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_go_down_the_table(module):
    """A room imports from rooms below it alone."""
    own = room_of(module)
    used = {name.split(".")[1] for name, _ in imports_of(module) if name.startswith("mien.")} - {
        own,
        "__version__",
    }
    upward = {room for room in used if ORDER.index(room) <= ORDER.index(own)}

    assert set() == upward


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_each_heavy_package_has_its_owners(module):
    """What is neither numpy nor of Python itself is imported by the rooms that the table gives it to."""
    own = room_of(module)
    heavy = {name.split(".")[0] for name, _ in imports_of(module)} - LIGHT

    assert heavy <= ROOMS[own]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_matplotlib_and_jinja2_wait_until_they_are_needed(module):
    """Packages that are slow to import are imported inside the functions that need them."""
    early = {name.split(".")[0] for name, top in imports_of(module) if top}

    assert not early & {"matplotlib", "jinja2", "rich"}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_every_module_says_what_it_is(module):
    """Each module has a docstring."""
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_only_evaluate_opens_the_test_split():
    """`open_test` is called in one place."""
    callers = {room_of(m) for m in MODULES if ".open_test(" in m.read_text()}

    assert {"evaluate"} == callers


def test_only_the_audit_sees_the_whole_data_set():
    """`whole` is called in one place, so nothing that trains or judges has all splits at once."""
    callers = {room_of(m) for m in MODULES if ".whole(" in m.read_text()}

    assert {"audit"} == callers


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import mien", set()),
        ("import mien.cli", set()),
        ("import mien.pack, mien.info, mien.judge, mien.predictions, mien.recipe, mien.run", set()),
        ("import mien.judge.report", set()),
        ("import mien.compare", set()),
        ("import mien.audit", set()),
        ("import mien.faces", set()),
        ("import mien.render", set()),
        ("import mien.tune.space_file", set()),
        ("import mien.tune.study, mien.tune.report", {"optuna", "sqlalchemy"}),
        ("import mien.model, mien.evaluate, mien.predict", set()),
        ("import mien.video", set()),
        ("import mien.train", {"torch", "safetensors"}),
        ("import mien.export", {"torch"}),
        ("import mien.tune.search, mien.tune.confirm", {"optuna", "sqlalchemy", "torch", "safetensors"}),
    ],
)
def test_an_import_brings_no_more_than_it_needs(statement, allowed):
    """In a fresh interpreter, each room loads the heavy packages it owns and no others."""
    heavy = {"torch", "safetensors", "matplotlib", "jinja2", "rich", "scipy", "sklearn", "PIL", "onnxruntime"}
    heavy |= {"optuna", "sqlalchemy", "onnx", "cv2"}
    code = f"import sys; {statement}; print(*[m for m in {sorted(heavy)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) <= allowed


def test_importing_mien_starts_nothing():
    """`import mien` loads neither numpy nor any room."""
    code = "import sys; import mien; print([m for m in sys.modules if m.startswith('mien.') or m == 'numpy'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_the_wheel_is_typed():
    """py.typed ships, so type checkers believe our annotations."""
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.parametrize(
    "code",
    [
        "from mien import Recognizer; Recognizer().predict(Image.fromarray(zeros))",
        "import mien; import onnxruntime; onnxruntime.InferenceSession(str(MODEL))",
    ],
)
def test_onnxruntime_tells_nobody(code, tmp_path):
    """Nothing of onnxruntime's telemetry appears: no identifier of the device, no events that wait to be sent."""
    first = "import numpy as np; from PIL import Image; from pathlib import Path; zeros = np.zeros((99, 99), np.uint8)"
    model = f"MODEL = Path({str(PACKAGE / 'weights' / 'pocket.onnx')!r})"
    silent = {"ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED", "CI"}
    told = {name: value for name, value in os.environ.items() if name not in silent}
    told |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "; ".join((first, model, code))], env=told, check=True)

    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]
