"""The command line: each command parses, calls the function of its room, and prints. Knows nothing else.

Rooms are imported when their command runs, so `mien --help` needs none of them.
"""

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from mien import __version__
from mien.errors import MienError, MissingExtra, Stopped

EXIT_LEFT_OUT = 1
EXIT_ERROR = 2
EXIT_STOPPED = 130

app = typer.Typer(
    name="mien",
    help="Trains, judges and ships recognizers of facial expression.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a command; every foreseen fault is one line on standard error and exit status 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout.reconfigure(errors="backslashreplace")  # names need not be UTF-8
    try:
        app()
    except Stopped as stopped:
        sys.exit(_said(str(stopped), EXIT_STOPPED))
    except KeyboardInterrupt:
        sys.exit(_said("stopped; nothing half-done was kept", EXIT_STOPPED))
    except MienError as error:
        sys.exit(_said(str(error), EXIT_ERROR))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went, as `head` does
        sys.exit(EXIT_ERROR)
    except OSError as error:
        sys.exit(_said(f"{error.filename or 'a file'}: {error.strerror or error}", EXIT_ERROR))
    except ModuleNotFoundError as error:
        sys.exit(_said(str(missing_extra(error)), EXIT_ERROR))


def missing_extra(error: ModuleNotFoundError) -> MissingExtra:
    """Return the error that names the extra which brings a missing package."""
    extras = {"torch": "train", "safetensors": "train", "matplotlib": "compare", "pyarrow": "pack"}
    extras |= {"onnx": "train", "optuna": "tune", "cv2": "video"}
    package = (error.name or "").partition(".")[0]
    if package not in extras:
        raise error
    return MissingExtra(f"{package} is not installed: pip install 'mien[{extras[package]}]'")


def _said(text: str, status: int) -> int:
    print(f"mien: {' '.join(text.split())}", file=sys.stderr)
    return status


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def pack(
    source: Annotated[
        Path,
        typer.Argument(
            help="fer2013.tar.gz, its .csv (or .csv.gz), icml_face_data.csv, a folder of class folders, "
            "RAF-DB's folder, a .csv of path,label[,split], or parquet"
        ),
    ],
    dataset: Annotated[Path, typer.Argument(help="the data set's folder, made here")],
    votes: Annotated[Path | None, typer.Option(help="FER+'s fer2013new.csv, to keep its votes")] = None,
    majority: Annotated[
        bool,
        typer.Option(
            "--majority", help="label by FER+'s majority: eight classes; the undecided are left out"
        ),
    ] = False,
    side: Annotated[int, typer.Option(help="pixels a side of the data set's faces")] = 48,
    labels: Annotated[
        str,
        typer.Option(
            metavar="NAME,…", help="keep an own set of classes; FOUND=NAME maps a name, FOUND= leaves it out"
        ),
    ] = "",
    detect: Annotated[
        bool, typer.Option("--detect", help="find and align the largest face of each photo first")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="stop at the first picture that is broken")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="of the splits, where the source has none")] = 0,
) -> None:
    """Make a data set of any source of faces; exit status 1 where pictures were left out."""
    from mien.dataset import summary
    from mien.pack import pack
    from mien.progress import TerminalCounting

    items = [item for item in labels.split(",") if item.strip()]
    with _stop_asked() as stop:
        info = pack(
            source,
            dataset,
            votes=votes,
            majority=majority,
            side=side,
            labels=items,
            detect=detect,
            strict=strict,
            seed=seed,
            progress=TerminalCounting(stop=stop),
        )
    print(f"{dataset}: {info.side} x {info.side} grey faces, fingerprint {info.fingerprint}\n{summary(info)}")
    if info.left_out:
        raise typer.Exit(EXIT_LEFT_OUT)


@app.command()
def render(
    dataset: Annotated[
        Path | None, typer.Argument(help="the folder made here; without one the default set, in your cache")
    ] = None,
    faces: Annotated[int, typer.Option(help="how many faces")] = 7000,
    side: Annotated[int | None, typer.Option(help="pixels a side: 48, or 128 for a clip")] = None,
    seed: Annotated[int, typer.Option(min=0, help="another seed gives other people")] = 0,
    counts: Annotated[str, typer.Option(help="balanced or fer2013")] = "balanced",
    label_noise: Annotated[float, typer.Option(help="rate of wrong labels, in every split")] = 0.0,
    ambiguity: Annotated[float, typer.Option(help="rate of faces with a second class mixed in")] = 0.3,
    page: Annotated[Path | None, typer.Option(help="write the page that shows them here")] = None,
    clip: Annotated[str | None, typer.Option(help="a clip instead: apex, change, turn or talk")] = None,
    label: Annotated[str, typer.Option(help="the clip's class")] = "happy",
    second: Annotated[str, typer.Option(help="the class that it changes to")] = "surprise",
    seconds: Annotated[float, typer.Option(help="the clip's length")] = 4.0,
    rate: Annotated[int, typer.Option(help="the clip's frames a second")] = 25,
) -> None:
    """Render a data set of faces that knows its own truth, or a clip."""
    from mien.errors import DataError
    from mien.progress import TerminalCounting
    from mien.render import cached_folder, is_default

    options = {"faces": faces, "side": side or 48, "seed": seed}
    options |= {"counts": counts, "label_noise": label_noise, "ambiguity": ambiguity}
    if dataset is None and (clip is not None or not is_default(**options)):
        raise DataError("give a folder: only the default set has a place of its own, in the cache")
    with _stop_asked() as stop:
        if clip is not None:
            from mien.render.clips import render_clip

            shown = {"label": label, "second": second, "seconds": seconds, "rate": rate}
            made = {"side": side or 128, "seed": seed, "progress": TerminalCounting(stop=stop)}
            total = render_clip(dataset, clip, **shown, **made)
            print(f"{dataset}: {total} frames, truth.csv and clip.avi")
            return
        _render_dataset(dataset or cached_folder(), options, page, TerminalCounting(stop=stop))


def _render_dataset(folder: Path, options: dict, page: Path | None, progress) -> None:
    from mien.dataset import summary
    from mien.render import render, write_page

    info = render(folder, **options, workers=len(os.sched_getaffinity(0)), progress=progress)
    print(f"{folder}: {info.side} x {info.side} grey faces, fingerprint {info.fingerprint}\n{summary(info)}")
    if page is not None:
        write_page(folder, page)
        print(page)


@app.command()
def audit(
    dataset: Annotated[Path, typer.Argument(help="a data set's folder")],
    out: Annotated[Path, typer.Option(help="the audit's folder")] = Path("reports/audit"),
    drop: Annotated[
        Path | None, typer.Option(help="write a cleaned data set here; every face left out is listed")
    ] = None,
    kinds: Annotated[
        str | None, typer.Option(help="findings that --drop leaves out, with commas between")
    ] = None,
) -> None:
    """Look for copies, poor pictures, splits that differ and wrong labels in a data set."""
    from mien.audit import DROPPED_BY_DEFAULT, audit, summary
    from mien.progress import TerminalCounting

    chosen = DROPPED_BY_DEFAULT if kinds is None else [k.strip() for k in kinds.split(",") if k.strip()]
    with _stop_asked() as stop:
        print(summary(audit(dataset, out, drop=drop, kinds=chosen, progress=TerminalCounting(stop=stop))))


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="a data set, run, recipe, model or table of predictions")],
) -> None:
    """Say what a file or folder of mien's is."""
    from mien.info import info

    print(info(path))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="a shipped recipe's name or a .toml file")],
    dataset: Annotated[Path, typer.Argument(help="a data set's folder")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="fields changed, as optimizer.lr=0.05"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="how many runs, seeds 0, 1, …")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="the first seed")] = 0,
    folds: Annotated[
        int | None,
        typer.Option(
            help="cross-validate: a run a fold of train and val together, identical pictures in one fold"
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="where the runs' folders NAME-sSEED or NAME-sSEED-fFOLDofFOLDS lie")
    ] = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads, all cores by default; a run begun keeps its own")
    ] = None,
) -> None:
    """Train a recipe on a data set; stopped at any moment, the same command goes on.

    Several GPUs: torchrun --nproc-per-node GPUS -m mien train …
    """
    from mien.recipe import read_recipe

    chosen = read_recipe(recipe, tuple(overrides or ()))
    from mien.dataset import read_dataset
    from mien.folds import folds_of

    data = read_dataset(dataset)
    data.development(next(folds_of(folds)))  # what cannot be folded is refused before torch is loaded
    from mien.networks.engine import choose_engine
    from mien.progress import Terminal
    from mien.run import folder_name
    from mien.train import train
    from mien.train.folds import summary

    engine = choose_engine(device=device, precision=chosen.training.precision, threads=threads)
    alone = os.environ.get("RANK", "0") == "0"  # or the first of torchrun's processes
    say = print if alone else lambda _: None
    with _stop_asked() as stop:
        for seed in range(first_seed, first_seed + seeds):
            runs, faces = [], []
            for fold in folds_of(folds):
                development, folder = data.development(fold), out / folder_name(chosen.name, seed, fold)
                options = {"seed": seed, "engine": engine, "stop": stop, "progress": Terminal()}
                run = train(chosen, development, folder, **options)
                told = run.result()
                say(
                    f"{folder}: {told['epochs']} epochs in {run.environment()['train_seconds']:.0f} s, "
                    f"epoch {told['kept_epoch']} kept, val accuracy {told['val']['accuracy']:.1%}"
                )
                runs.append(run)
                faces.append(len(development.val))
            if folds:
                say(summary(runs, faces))


@contextmanager
def _stop_asked():
    """Yield a question: was Ctrl-C pressed or SIGTERM sent? A second one stops at once."""
    asked = []

    def note(signum, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(signum)

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.command()
def bench(
    recipe: Annotated[str, typer.Argument(help="a shipped recipe's name or a .toml file")] = "quick-densenet",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="fields changed, as training.batch_size=64"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="figures and numbers go here, reports/bench/NAME by default")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads, all cores by default")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="in each every contender has a turn")] = 5,
    seconds: Annotated[float, typer.Option(min=0, max=600, help="of a turn")] = 1.0,
) -> None:
    """Measure how fast this machine trains and reads, beside a training as it is mostly written."""
    from mien.recipe import read_recipe

    chosen = read_recipe(recipe, tuple(overrides or ()))
    from mien.bench import bench
    from mien.bench.report import check, write
    from mien.bench.text import summary
    from mien.progress import TerminalCounting

    folder = out or Path("reports/bench") / chosen.name
    check(folder)
    timed = {"device": device, "threads": threads, "rounds": rounds, "seconds": seconds}
    with _stop_asked() as stop:
        told = bench(chosen, **timed, progress=TerminalCounting(stop=stop))
    write(told, folder)
    print(f"{summary(told)}\n\n{folder}: figures speed and stages, bench.json")


@app.command()
def teach(
    dataset: Annotated[Path, typer.Argument(help="a data set's folder; its train faces alone are read")],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]...", help="teachers; without any, FER+'s voters, where the data set has votes"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="the table made here")] = Path("targets.csv"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Write soft targets for `mien train RECIPE DATASET teacher.tables=TABLE`."""
    from mien.judge import accuracy
    from mien.teach import teach

    told = teach(dataset, out, runs=runs or (), device=device)
    print(f"{out}: {len(told):,} train faces, {accuracy(told.labels, told.probs):.1%} as labelled")


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
    """Write predictions of a run, or of an exported model, on val, and on test when asked."""
    from mien.errors import DataError
    from mien.evaluate import evaluate, evaluate_on
    from mien.judge import accuracy

    if out is not None:
        if len(runs) > 1 or data is None:
            raise DataError("--out wants one model and the data set that it reads, --data FOLDER")
        told = ((runs[0], *pair) for pair in evaluate_on(runs[0], data, out, test=test).items())
    else:
        asked = ((run, split) for run in runs for split in (("val", "test") if test else ("val",)))
        told = ((run, split, evaluate(run, split=split, data=data, device=device)) for run, split in asked)
    for run, split, some in told:
        clean = some.only(some.clean)
        note = "" if len(clean) == len(some) else f", clean {accuracy(clean.labels, clean.probs):.1%}"
        print(f"{run}: {split} accuracy {accuracy(some.labels, some.probs):.1%}{note} ({len(some):,} faces)")


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
        bool, typer.Option("--int8", help="in 8-bit whole numbers: a third of size and time")
    ] = False,
    licence: Annotated[str, typer.Option(help="under which terms the model may be used")] = "not stated",
) -> None:
    """Make one .onnx file of runs: calibrated on val, checked against torch, its model card inside."""
    from mien.export import export
    from mien.model import summary
    from mien.progress import TerminalCounting

    options = {"data": data, "mirror": mirror, "int8": int8, "licence": licence}
    with _stop_asked() as stop:
        model = export(runs, out, **options, progress=TerminalCounting(stop=stop))
    print(f"{summary(model)}\n\nmien info {out} shows its model card")


@app.command()
def judge(
    tables: Annotated[
        list[Path], typer.Argument(metavar="PREDICTIONS...", help="tables of predictions (CSV)")
    ],
    seeds: Annotated[bool, typer.Option("--seeds", help="the tables are seeds of one network")] = False,
    split: Annotated[str | None, typer.Option(help="judge the rows of this split alone")] = None,
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="bootstrap draws")] = 2000,
    per_class: Annotated[bool, typer.Option("--per-class", help="precision, recall and F1 by class")] = False,
    coverage: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="draw here how often it is right where only the surest are answered"
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="the probability answered from, marked in --coverage")
    ] = None,
) -> None:
    """Judge anybody's predictions: figures with 95 % intervals, and paired tests between tables."""
    from mien.errors import DataError
    from mien.judge.report import coverage_of, judge_tables

    if threshold is not None and coverage is None:
        raise DataError("--threshold marks a place in the curve that --coverage DIR draws")
    print(judge_tables(tables, as_seeds=seeds, split=split, draws=draws, per_class=per_class))
    if coverage is not None:
        print(coverage_of(tables, coverage, split=split, threshold=threshold, draws=draws))


@app.command(
    epilog="It says how people would label a face, not what a person feels; limits: mien info MODEL."
)
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="photos, folders, patterns as 'in/**/*.jpg', - for standard input"
        ),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="a shipped model or a .onnx file")
    ] = "pocket",
    crop: Annotated[
        bool, typer.Option("--crop", help="each picture is a face already: none is looked for")
    ] = False,
    csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="write a row a face; - is standard output")
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="write an object a line a picture; - is standard output"),
    ] = None,
    annotate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write each picture with boxes and labels here")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a contact sheet, one HTML file")
    ] = None,
    explain: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write for each face where the network looked")
    ] = None,
    long_side: Annotated[
        int, typer.Option(metavar="PIXELS", help="faces are looked for at this size; more finds smaller ones")
    ] = 640,
) -> None:
    """Read the expression of every face in pictures; exit status 1 where pictures could not be read."""
    import shutil

    from mien.predict import predict
    from mien.progress import TerminalCounting

    terminal = sys.stdout.isatty()
    made = {"csv": csv, "json": json, "annotate": annotate, "page": page, "explain": explain}
    with _stop_asked() as stop:
        counts = predict(
            paths,
            model=model,
            crop=crop,
            **made,
            long_side=long_side,
            width=shutil.get_terminal_size().columns if terminal else None,
            progress=TerminalCounting(stop=stop, bar=not terminal),
        )
    if counts["failed"]:
        raise typer.Exit(EXIT_LEFT_OUT)


@app.command(
    epilog="It says how people would label a face, not what a person feels; limits: mien info MODEL."
)
def video(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE", help="video files, or a camera as /dev/video0")
    ] = None,
    camera: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="a camera of this machine, as 0; Ctrl-C ends it")
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="a shipped model or a .onnx file")
    ] = "pocket",
    csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="write a row a face and frame; - is standard output")
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="write an object a line a frame; - is standard output")
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="write the video with boxes and labels: .mp4, .webm, .avi, …"),
    ] = None,
    timeline: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="write a figure of each person over time: .svg or .png"),
    ] = None,
    long_side: Annotated[
        int, typer.Option(metavar="PIXELS", help="faces are looked for at this size; more finds smaller ones")
    ] = 640,
    seconds: Annotated[float | None, typer.Option(help="read no more of each source than this")] = None,
    frames: Annotated[int | None, typer.Option(help="read no more of each source than this")] = None,
) -> None:
    """Follow faces in videos or before a camera and read their expression; exit status 1 where some failed."""
    from mien.progress import TerminalCounting
    from mien.video import video

    made = {"csv": csv, "json": json, "annotate": annotate, "timeline": timeline}
    limits = {"seconds": seconds, "frames": frames}
    with _stop_asked() as stop:
        counts = video(
            sources or (), camera=camera, model=model, **made, long_side=long_side, **limits,
            stop=stop, progress=TerminalCounting(stop=stop),
        )  # fmt: skip
    if counts["failed"]:
        raise typer.Exit(EXIT_LEFT_OUT)


@app.command(
    epilog="It says how people would label a face, not what a person feels. No picture is kept or logged."
)
def serve(
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="a shipped model or a .onnx file")
    ] = "pocket",
    host: Annotated[str, typer.Option(help="the address to listen at; 0.0.0.0 lets others in")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any that is free")] = 8000,
    workers: Annotated[int, typer.Option(help="processes that share the port")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(help="threads of a process that find faces; all cores are shared out by default"),
    ] = None,
    reports: Annotated[
        Path | None, typer.Option(metavar="DIR", help="show the reports and runs below this folder, too")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="a file with the key that clients must bring; else MIEN_API_KEY")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="a site whose pages may call the API; may be repeated")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="a name the server goes by, beside this machine's; may be repeated"),
    ] = None,
    proxy: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="the proxy whose X-Forwarded-For is believed")
    ] = None,
    max_bytes: Annotated[int, typer.Option(help="of a request's body")] = 16 * 2**20,
    max_pixels: Annotated[int, typer.Option(help="of a picture")] = 32_000_000,
    max_pictures: Annotated[int, typer.Option(help="in a request")] = 32,
    max_faces: Annotated[int, typer.Option(help="in a picture")] = 200,
    time_limit: Annotated[float, typer.Option(help="seconds from a request to its answer")] = 30.0,
    queue: Annotated[int, typer.Option(help="pictures that wait at once, half of them of one address")] = 128,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="a line a request on standard error, without names")
    ] = False,
) -> None:
    """Serve a page that reads faces in the browser, and an API; --reports shows reports and live runs."""
    from mien.serve import Limits, Settings, serve
    from mien.serve.settings import read_key

    taken = {"body_bytes": max_bytes, "pixels": max_pixels, "pictures": max_pictures, "faces": max_faces}
    serve(
        Settings(
            model=model,
            host=host,
            port=port,
            workers=workers,
            threads=threads,
            reports=reports,
            api_key=read_key(api_key_file),
            allow_origins=tuple(allow_origin or ()),
            allow_hosts=tuple(allow_host or ()),
            proxy=proxy,
            access_log=access_log,
            limits=Limits(**taken, seconds=time_limit, waiting=queue),
        )
    )


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="folders of evaluated runs; one name is one network")],
    out: Annotated[Path, typer.Option(help="the report's folder")] = Path("reports/compare"),
    split: Annotated[str, typer.Option(help="test or val")] = "test",
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="bootstrap draws")] = 2000,
) -> None:
    """Make the report that compares runs: one HTML file, its figures and its numbers."""
    from mien.compare import compare, summary

    print(summary(compare(runs, out, split=split, draws=draws)))


class FirstByDefault(TyperGroup):
    """Commands of which the first needs no word of its own: `mien tune SPACE` is `mien tune search SPACE`."""

    def parse_args(self, ctx, args):
        """Put the first command's word before arguments that start with no command's."""
        if args and args[0] not in (*self.commands, "--help"):
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


tune = typer.Typer(
    cls=FirstByDefault,
    help="Search a space of recipes: `mien tune SPACE DATASET`; draw a search: `mien tune report FOLDER`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(tune, name="tune")


@tune.command("search")
def tune_search(
    space: Annotated[str, typer.Argument(help="a shipped space's name or a .toml file")],
    dataset: Annotated[Path, typer.Argument(help="a data set's folder; only its train and val are seen")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="fields fixed, as training.epochs=5; or objectives=…"),
    ] = None,
    trials: Annotated[int, typer.Option(help="how many, by all workers together")] = 40,
    hours: Annotated[float | None, typer.Option(help="stop after so long; the same command goes on")] = None,
    out: Annotated[Path | None, typer.Option(help="the search's folder, searches/NAME by default")] = None,
    storage: Annotated[
        str | None, typer.Option(help="an address such as postgresql://HOST/DATABASE, for many machines")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that share this machine's threads")] = 1,
    sampler: Annotated[str, typer.Option(help="tpe, random or nsga2")] = "tpe",
    pruner: Annotated[
        str | None, typer.Option(help="median, hyperband or none; by default median, with one objective")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the search and of every training")] = 0,
    confirm: Annotated[int, typer.Option(min=0, help="train the best three again, with so many seeds")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads, all cores by default")] = None,
) -> None:
    """Search a space of recipes on train and val; stopped at any moment, the same command goes on."""
    from mien.tune.space import read_space

    chosen = read_space(space, tuple(overrides or ()))
    from mien.dataset import read_dataset

    development = read_dataset(dataset).development()
    from mien.networks.engine import require_device
    from mien.progress import Terminal
    from mien.tune.confirm import confirm as train_again
    from mien.tune.plan import Plan
    from mien.tune.report import summary
    from mien.tune.search import aloud, tune

    if device != "auto":
        require_device(device)
    folder = out or Path("searches") / chosen.name
    search = {"seed": seed, "sampler": sampler, "pruner": pruner, "storage": storage}
    plan = Plan(chosen, development, folder, trials, hours, **search, device=device, threads=threads)
    with _stop_asked() as stop:
        found = tune(plan, workers=workers, stop=stop, say=aloud, progress=Terminal())
        if confirm:
            found = train_again(plan, confirm, stop=stop, say=aloud, progress=Terminal())
    print(f"{summary(found)}\n\n{folder}: mien tune report {storage or folder} draws it")


@tune.command("report")
def tune_report(
    where: Annotated[
        str, typer.Argument(help="a search's folder, or any Optuna storage: a file or an address")
    ],
    study: Annotated[str | None, typer.Option(help="which study, where the storage holds several")] = None,
    out: Annotated[Path | None, typer.Option(help="the report's folder, FOLDER/report by default")] = None,
) -> None:
    """Make the report of a search, or of anybody's Optuna study: one HTML page, figures, tables, recipes."""
    from mien.tune.report import PAGE, report, summary

    folder = out or (Path(where) / "report" if Path(where).is_dir() else Path("reports/tune"))
    print(f"{summary(report(where, folder, study=study))}\n\n{folder / PAGE}")
