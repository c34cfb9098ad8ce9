"""The pages of the reference that are made from the package: commands, recipe fields, HTTP; and what lies beside docs/.

`write` makes them below docs/reference/ and docs/project/, which git ignores.
"""

import ast
import dataclasses
import inspect
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import typer

import mien
from mien.recipe import NETWORKS, Recipe, fields, read_recipe, shipped_recipes

ROOT = Path(__file__).parent.parent
COPIED = {"changelog": "CHANGELOG.md", "log": "LOG.md", "contributing": "CONTRIBUTING.md", "notice": "NOTICE"}
MODULES = {
    "mien": "Detecting and classifying faces",
    "mien.predict": "Predicting",
    "mien.dataset": "Data sets",
    "mien.pack": "Packing",
    "mien.audit": "The audit",
    "mien.render": "Rendered faces",
    "mien.recipe": "Recipes",
    "mien.train": "Training",
    "mien.run": "Runs",
    "mien.evaluate": "Evaluating",
    "mien.predictions": "Tables of predictions",
    "mien.tune.search": "Tuning",
    "mien.judge": "Judging",
    "mien.compare": "Comparing",
    "mien.stress": "Stress",
    "mien.fairness": "Fairness",
    "mien.export": "Exporting",
    "mien.track": "Tracking",
    "mien.distill": "Distillation",
    "mien.model": "Model files",
    "mien.video": "Video",
    "mien.serve": "Serving",
    "mien.bench": "Benchmarks",
    "mien.info": "What a file is",
    "mien.errors": "Errors",
}


def write(docs: Path) -> None:
    """Write all generated pages below a folder of docs; a page that would not change is left as it is."""
    pages = {
        "reference/commands.md": commands(),
        "reference/recipes.md": recipes(),
        "reference/http.md": http(),
        **python(),
        **{f"project/{name}.md": _copied(ROOT / file) for name, file in COPIED.items()},
    }
    for name, text in pages.items():
        path = docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def commands() -> str:
    """Return the page of all commands: usage, arguments and options of each, from the command line itself."""
    from mien.cli import app

    group = typer.main.get_command(app)
    names = [name for name, command in group.commands.items() if not command.hidden]
    parts = [_command(name, group.commands[name]) for name in names]
    first = "Each command also says this itself: `mien COMMAND --help`. Faults end with exit status 2 and one line."
    return "\n\n".join(["# Commands", first, *parts]) + "\n"


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"mien {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    if isinstance(command, click.Group):
        inner = [_command(f"{name} {one}", sub) for one, sub in command.commands.items() if not sub.hidden]
        return "\n\n".join([f"## mien {name}", _text(command.help), *inner])
    rows = [row for parameter in command.params if (row := _parameter(parameter, context))]
    table = ["| argument or option | what it is | default |", "| --- | --- | --- |", *rows]
    return "\n\n".join([f"## mien {name}", f"```text\n{usage}\n```", _text(command.help), "\n".join(table)])


def _parameter(parameter: click.Parameter, context: click.Context) -> str:
    if getattr(parameter, "hidden", False) or parameter.name == "help":
        return ""
    metavar = parameter.make_metavar(context)
    names = metavar if parameter.param_type_name == "argument" else ", ".join(parameter.opts)
    if parameter.param_type_name == "option" and not parameter.is_flag:
        names += f" {metavar}"
    default = parameter.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    shown = f"`{default}`" if plain and default != "" else "required" if parameter.required else ""
    words = re.sub(r"([\[\]*_<>^])", r"\\\1", _text(getattr(parameter, "help", None)))  # no Markdown
    return f"| `{_cell(names)}` | {_cell(words)} | {shown} |"


def recipes() -> str:
    """Return the page of recipes: those that ship, and every field with its default, bounds and meaning."""
    head = (
        "# Recipe fields\n\nA recipe is a TOML file of the sections below; any field changes on the command line, as "
        "`mien train quick-densenet data/fer2013 optimizer.lr=0.05`. The first column is the name that the command "
        "line takes."
    )
    kinds = {f"network, kind = {kind}": (cls, "network") for kind, cls in NETWORKS.items()}
    others = {
        one.name: (one.type, one.name)
        for one in dataclasses.fields(Recipe)
        if dataclasses.is_dataclass(one.type)
    }
    sections = kinds | others
    comments = field_comments()
    parts = [_section(title, cls, prefix, comments) for title, (cls, prefix) in sections.items()]
    return "\n\n".join([head, _shipped(), *parts]) + "\n"


def _shipped() -> str:
    rows = ["| recipe | network | epochs |", "| --- | --- | --- |"]
    for name in shipped_recipes():
        recipe = read_recipe(name)
        rows.append(f"| `{name}` | {recipe.network.kind} | {recipe.training.epochs} |")
    return "## Recipes that ship\n\n`mien info RECIPE` shows one whole.\n\n" + "\n".join(rows)


def _section(title: str, cls: Any, prefix: str, comments: Mapping[str, Mapping[str, str]]) -> str:
    rows = ["| field | default | from | to | meaning |", "| --- | --- | --- | --- | --- |"]
    for one in dataclasses.fields(cls):
        low, high = one.metadata.get("low", ""), one.metadata.get("high", "")
        default = "" if one.default is dataclasses.MISSING else f"`{_toml(one.default)}`"
        choices = re.findall(r"'([^']*)'|\"([^\"]*)\"", str(one.type)) if "Literal" in str(one.type) else []
        meaning = comments[cls.__name__].get(one.name, "")
        if choices and one.name != "kind":
            meaning = "; ".join(filter(None, [meaning, " or ".join(f"`{a or b}`" for a, b in choices)]))
        rows.append(f"| `{prefix}.{one.name}` | {default} | {low} | {high} | {_cell(meaning)} |")
    return f"## {title}\n\n{_text(inspect.getdoc(cls))}\n\n" + "\n".join(rows)


def field_comments() -> dict[str, dict[str, str]]:
    """Return, by class and field of `mien.recipe.fields`, the comment behind the field."""
    source = inspect.getsource(fields)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    return {
        cls.name: {
            name: " ".join(lines[n] for n in range(first, last + 1) if n in lines)
            for name, first, last in _lines(cls)
        }
        for cls in ast.parse(source).body
        if isinstance(cls, ast.ClassDef)
    }


def _lines(cls: ast.ClassDef) -> Iterator[tuple[str, int, int]]:
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.lineno, node.end_lineno or node.lineno


def http() -> str:
    """Return the page of the HTTP API, from its OpenAPI description."""
    from mien.serve import Settings
    from mien.serve.app import api as routes

    api = routes(Settings()).openapi()
    parts = [
        "# HTTP API",
        f"{api['info']['description']} `GET /openapi.json` gives this to programs; "
        "[serving](../serving.md) tells the rest.",
    ]
    for path, methods in api["paths"].items():
        parts += [_route(method, path, operation) for method, operation in methods.items()]
    parts += [_schema(name, schema) for name, schema in api["components"]["schemas"].items()]
    return "\n\n".join(parts) + "\n"


def _route(method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = [
        f"| `{status}` | {_cell(answer['description'])} |"
        for status, answer in operation["responses"].items()
    ]
    takes = [
        f"- `{one['name']}` ({one['in']}): {one.get('description') or one.get('schema', {}).get('description', '')}"
        for one in operation.get("parameters", [])
    ]
    words = operation.get("description") or operation.get("summary", "")
    table = "\n".join(["| status | what it says |", "| --- | --- |", *rows])
    return "\n\n".join(filter(None, [f"## {method.upper()} {path}", words, "\n".join(takes), table]))


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    rows = [
        f"| `{field}` | {_type(value)} | {_cell(value.get('description', ''))} |"
        for field, value in schema.get("properties", {}).items()
    ]
    return "\n\n".join(
        [
            f"## {name}",
            schema.get("description", ""),
            "\n".join(["| field | type | meaning |", "| --- | --- | --- |", *rows]),
        ]
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return schema.get("type", "any")


def python() -> dict[str, str]:
    """Return the pages of what the package offers to Python, by name; Sphinx fills them from the docstrings."""
    elsewhere = ", ".join(mien.__all__)  # described where they are imported from
    pages = {}
    for module, title in MODULES.items():
        left_out = [f"   :exclude-members: {elsewhere}"] if module == "mien.predict" else []
        head = f"{title}: ``{module}``"
        lines = [head, "=" * len(head), "", f".. automodule:: {module}", "   :members:", *left_out, ""]
        pages[f"reference/python/{module}.rst"] = "\n".join(lines)
    first = "A command is a function of the module of its name: ``mien train`` is ``mien.train.train``."
    toctree = [".. toctree::", "   :maxdepth: 1", "", *(f"   python/{module}" for module in MODULES)]
    pages["reference/python.rst"] = "\n".join(["Python", "======", "", first, "", *toctree, ""])
    return pages


def _copied(path: Path) -> str:
    """Return a page that lies beside docs/, with its links as seen from docs/project/."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".md":
        return f"# {path.name.title()}\n\n```text\n{text}\n```\n"
    return re.sub(r"\]\(docs/", "](../", text)


def _text(words: str | None) -> str:
    return " ".join((words or "").split())


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str)
        else str(value)
    )
