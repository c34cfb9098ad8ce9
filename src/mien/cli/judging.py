"""The commands that judge and ship: evaluate, judge, compare, stress, fairness, export, track."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.app import app, stop_asked

DATA = typer.Option(help="the data set of the faces: knows their labels, copies and other columns by id")
CLASSES = typer.Option(
    metavar="NAME,…", help="the classes in the columns' order, where these have no names, as in a .npy array"
)


@app.command()
def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(help="folders of complete runs, exported .onnx files or, with --out, pocket"),
    ],
    test: Annotated[
        bool, typer.Option("--test", help="open the test split too; recorded in the run, or beside the file")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="where the data set lies now, if it was moved; a .onnx file needs it")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="a table of what one model says of --data, which may be any data set")
    ] = None,
) -> None:
    """Write the predictions of a run or a model on val or test."""
    from mien.errors import DataError
    from mien.evaluate import evaluate_all, evaluate_on
    from mien.judge import accuracy
    from mien.judge.parts import CLEAN, different_parts, only_part
    from mien.predictions import read_predictions

    if out is not None:
        if len(runs) > 1 or data is None:
            raise DataError("--out wants one model and the data set that it reads, --data FOLDER")
        evaluated = ((runs[0], *pair) for pair in evaluate_on(runs[0], data, out, test=test).items())
    else:
        splits = ("val", "test") if test else ("val",)
        evaluated = evaluate_all(runs, splits=splits, data=data, device=device)
    for run, split, some in evaluated:
        note = ""
        for part in reversed([part for part in different_parts(some) if part in CLEAN]):
            (table,) = only_part([some], part)
            note += f", {CLEAN[part]} {accuracy(table.labels, table.probs):.1%}"
        note += "" if some.clean.any() else f"; every face of {split} stands in an earlier split too"
        print(f"{run}: {split} accuracy {accuracy(some.labels, some.probs):.1%}{note} ({len(some):,} faces)")
        clips = run / f"clips-{split}.csv"
        if out is None and clips.exists():
            whole = read_predictions(clips)
            print(
                f"{run}: {split} accuracy of clips {accuracy(whole.labels, whole.probs):.1%} ({len(whole):,})"
            )


@app.command()
def judge(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="PREDICTIONS...",
            help="tables of predictions (CSV), or NAME=A.csv,B.csv: seeds of one network",
        ),
    ],
    seeds: Annotated[bool, typer.Option("--seeds", help="the tables are seeds of one network")] = False,
    data: Annotated[Path | None, DATA] = None,
    classes: Annotated[str, CLASSES] = "",
    by: Annotated[
        str, typer.Option(metavar="COLUMN", help="judge each group, too: a column of the tables or of --data")
    ] = "",
    split: Annotated[str | None, typer.Option(help="judge the rows of this split alone")] = None,
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="bootstrap draws")] = 2000,
    per_class: Annotated[bool, typer.Option("--per-class", help="print those of each class, too")] = False,
    coverage: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="draw here how often it is right where only the surest are answered"
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="the probability answered from, marked in --coverage")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="write all figures here as JSON")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="write a row a score here, those of each class, too")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="write a page that opens anywhere here")] = None,
) -> None:
    """Judge anybody's predictions, with 95 % intervals.

    Several tables of the same faces are compared by paired tests.
    """
    from mien.errors import DataError
    from mien.files import require_place
    from mien.judge import report
    from mien.judge.judgement import judge_files

    if threshold is not None and coverage is None:
        raise DataError("--threshold marks a place in the curve that --coverage DIR draws")
    writers = {json: report.write_json, csv: report.write_table, html: report.write_page}
    outputs = [path for path in (json, csv, html) if path is not None]
    for path in outputs:
        require_place(path)
    options = {"as_seeds": seeds, "split": split, "data": data, "classes": _names(classes), "by": by}
    judgement = judge_files(tables, **options, draws=draws)
    for path in outputs:
        writers[path](path, judgement)
    print(report.as_text(judgement, per_class=per_class))
    if coverage is not None:
        print(report.coverage_of(judgement.tables, coverage, threshold=threshold, draws=draws))


def _names(classes: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in classes.split(",") if name.strip())


@app.command()
def compare(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORKS...",
            help="folders of evaluated runs, of one name the seeds of one network, or tables: NAME=A.csv,B.csv",
        ),
    ],
    out: Annotated[Path, typer.Option(help="the report's folder")] = Path("reports/compare"),
    split: Annotated[str, typer.Option(help="test or val")] = "test",
    data: Annotated[Path | None, DATA] = None,
    classes: Annotated[str, CLASSES] = "",
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="bootstrap draws")] = 2000,
    style: Annotated[
        str,
        typer.Option(help="page, or paper: PDF and SVG without titles and captions to copy, too, in paper/"),
    ] = "page",
) -> None:
    """Make a report that compares runs or predictions.

    One HTML file, its figures and its numbers.
    """
    from mien.compare import compare, summary

    options = {"split": split, "data": data, "classes": _names(classes), "draws": draws, "style": style}
    print(summary(compare(networks, out, **options)))


@app.command()
def stress(
    models: Annotated[
        list[str], typer.Argument(help="models that ship, .onnx files, or folders of complete runs")
    ],
    data: Annotated[Path, typer.Option(help="the data set whose val faces are corrupted")],
    out: Annotated[Path, typer.Option(help="the report's folder")] = Path("reports/stress"),
    photographs: Annotated[
        bool,
        typer.Option(
            "--photographs", help="paste the faces into pictures, where they have to be found first"
        ),
    ] = False,
    faces: Annotated[int, typer.Option(min=0, help="so many faces, drawn by the seed; 0: all")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="of the corruptions and the bootstrap")] = 0,
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="bootstrap draws")] = 1000,
) -> None:
    """Measure what noise, blur, dark and cover cost.

    18 corruptions at five strengths; several models see the same faces and are compared in pairs.
    """
    from mien.progress import TerminalCounting
    from mien.stress import stress, summary

    with stop_asked() as stop:
        progress = TerminalCounting(stop=stop)
        options = {"photographs": photographs, "faces": faces, "seed": seed, "draws": draws}
        result = stress(models, data, out, **options, progress=progress)
    print(f"{summary(result)}\n\n{out / 'stress.html'}")


@app.command()
def fairness(
    models: Annotated[
        list[str], typer.Argument(help="models that ship, .onnx files, or folders of complete runs")
    ],
    out: Annotated[Path, typer.Option(help="the report's folder")] = Path("reports/fairness"),
    people: Annotated[int, typer.Option(help="so many rendered people, 2 to 2,000")] = 32,
    attribute: Annotated[
        list[str] | None, typer.Option(help="compare by this one alone; may be given several times")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the people and the bootstrap")] = 0,
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="bootstrap draws")] = 2000,
) -> None:
    """Compare rendered people of other age, skin, hair …

    Each person is rendered with one attribute changed and all else the same; several models see the same faces.
    """
    from mien.fairness import fairness, summary
    from mien.progress import TerminalCounting
    from mien.workers import available_cores

    with stop_asked() as stop:
        progress = TerminalCounting(stop=stop)
        result = fairness(
            models, out, people=people, attributes=attribute or (), seed=seed, draws=draws,
            workers=available_cores(), progress=progress,
        )  # fmt: skip
    print(f"{summary(result)}\n\n{out / 'fairness.html'}")


@app.command()
def export(
    runs: Annotated[list[Path], typer.Argument(help="folders of complete runs; several read as an ensemble")],
    out: Annotated[Path, typer.Option(help="the model file made here; its name is the model's")] = Path(
        "model.onnx"
    ),
    data: Annotated[Path | None, typer.Option(help="where the data set lies now, if it was moved")] = None,
    mirror: Annotated[
        bool | None,
        typer.Option(
            "--mirror/--once", help="read a face with its mirror picture, or alone; else as recipes say"
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="in 8-bit whole numbers: a third of the size, half the time")
    ] = False,
    prior: Annotated[
        str,
        typer.Option(
            metavar="PRIOR",
            help="how frequent answers take the classes to be: train, balanced, 1 to 0 between them, a JSON file",
        ),
    ] = "train",
    licence: Annotated[str, typer.Option(help="under which terms the model may be used")] = "not stated",
    hub: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="a folder for model hubs, too: file, card, labels; also of a .onnx file or a shipped model",
        ),
    ] = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(help="a report of stress or fairness on this model, for its card; repeatable"),
    ] = None,
) -> None:
    """Make one .onnx file of runs.

    Calibrated on val, checked against torch, its model card inside.
    """
    from mien.errors import DataError
    from mien.hub import write_hub
    from mien.model import read_model, shipped_models, summary

    options = {"data": data, "mirror": mirror, "int8": int8, "prior": prior, "licence": licence}
    options["reports"] = tuple(report or ())
    if hub is not None and len(runs) == 1 and (runs[0].suffix == ".onnx" or str(runs[0]) in shipped_models()):
        if list(options.values()) != [None, None, False, "train", "not stated", ()]:
            raise DataError(f"{runs[0]} is a model already: beside --hub give no other option")
        write_hub(read_model(str(runs[0])), hub)
        print(hub / "README.md")
        return
    from mien.export import export
    from mien.progress import TerminalCounting

    with stop_asked() as stop:
        model = export(runs, out, **options, progress=TerminalCounting(stop=stop))
    print(f"{summary(model)}\n\nmien info {out} shows its model card")
    if hub is not None:
        write_hub(model, hub)
        print(hub / "README.md")


@app.command()
def track(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs, complete or not")],
    to: Annotated[str, typer.Option(metavar="KIND:PLACE", help="tensorboard:DIR, mlflow:URI or csv:FILE")],
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="beside a training: copy each epoch as it ends, until all are complete"
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="the folder of a report by mien compare, to go along")
    ] = None,
) -> None:
    """Copy runs to TensorBoard, MLflow or a CSV file.

    Curves, settings, final figures with their intervals. The same command again adds what is new.
    """
    from mien.track import track

    with stop_asked() as stop:
        options = {"follow": follow, "report": report, "stop": stop}
        for line in track(runs, to, **options, note=lambda line: print(f"mien: {line}", file=sys.stderr)):
            print(line)
