"""The commands that make faces and look at them: pack, render, audit, info."""

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.app import EXIT_LEFT_OUT, app, stop_asked

# what `mien render` takes for a data set alone, and for a clip alone
OF_FACES = ("faces", "counts", "label_noise", "ambiguity", "page")
OF_CLIPS = ("label", "second", "seconds", "rate")
OF_CLIP_SETS = ("seconds", "rate")


@app.command()
def pack(
    source: Annotated[
        Path,
        typer.Argument(
            help="fer2013.tar.gz, its .csv (or .csv.gz), icml_face_data.csv, a folder of class folders, "
            "RAF-DB's folder, a .csv of path,label[,split], or parquet; with --clips a folder or table of clips"
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
    person: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="who is in a picture, as a regular expression for its path: '^[^/]+', 'S([0-9]+)'",
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="of the splits, where the source has none")] = 0,
    clips: Annotated[
        bool, typer.Option("--clips", help="videos and folders of numbered pictures: follow each one's face")
    ] = False,
    every: Annotated[int | None, typer.Option(metavar="N", help="of clips take every Nth frame")] = None,
    rate: Annotated[float | None, typer.Option(help="frames a second of numbered pictures, 25")] = None,
) -> None:
    """Make a data set of any source of faces.

    Exit status 1 where images or clips were left out; each is listed with its reason.
    """
    from mien.dataset import about_sharing, read_dataset, summary
    from mien.errors import DataError
    from mien.pack import pack
    from mien.pack.naming import items_of
    from mien.progress import TerminalCounting

    common = {"side": side, "labels": items_of(labels), "strict": strict, "seed": seed}
    if clips and (votes or majority or detect or person):
        raise DataError(
            "--votes, --majority, --detect and --person are of pictures; leave them out with --clips"
        )
    if not clips and (every or rate):
        raise DataError("--every and --rate are of clips; give --clips, too")
    with stop_asked() as stop:
        common["progress"] = TerminalCounting(stop=stop)
        if clips:
            from mien.clips import pack_clips

            info = pack_clips(source, dataset, every=every or 1, rate=rate or 25.0, stop=stop, **common)
        else:
            options = {"votes": votes, "majority": majority, "detect": detect, "person": person}
            info = pack(source, dataset, **options, **common)
    print(f"{dataset}: {info.side} x {info.side} grey faces, fingerprint {info.fingerprint}\n{summary(info)}")
    print("\n".join(about_sharing(read_dataset(dataset))))
    if info.left_out:
        raise typer.Exit(EXIT_LEFT_OUT)


@app.command()
def render(
    context: typer.Context,
    dataset: Annotated[
        Path | None, typer.Argument(help="the folder made here; without one the default set, in your cache")
    ] = None,
    faces: Annotated[int, typer.Option(help="how many faces, 21 to 200,000")] = 7000,
    side: Annotated[int | None, typer.Option(help="pixels a side; without it 48, or 128 for a clip")] = None,
    seed: Annotated[int, typer.Option(min=0, help="another seed gives other people")] = 0,
    counts: Annotated[str, typer.Option(help="balanced or fer2013")] = "balanced",
    label_noise: Annotated[float, typer.Option(help="rate of wrong labels, in every split")] = 0.0,
    ambiguity: Annotated[float, typer.Option(help="rate of faces with a second class mixed in")] = 0.3,
    page: Annotated[Path | None, typer.Option(help="write the page that shows them here")] = None,
    clips: Annotated[
        int | None, typer.Option(help="a data set of so many clips instead, each frame's truth in its table")
    ] = None,
    clip: Annotated[str | None, typer.Option(help="a clip instead: apex, change, turn or talk")] = None,
    label: Annotated[str, typer.Option(help="the clip's class")] = "happy",
    second: Annotated[str, typer.Option(help="the class that it changes to")] = "surprise",
    seconds: Annotated[
        float | None, typer.Option(help="the clip's length, 4; of --clips the mean length, 3")
    ] = None,
    rate: Annotated[int, typer.Option(help="frames a second of clips")] = 25,
) -> None:
    """Render faces or clips with their truth, or one clip."""
    from mien.errors import DataError
    from mien.progress import TerminalCounting
    from mien.render import cached_folder, is_default

    options = {"faces": faces, "side": 48 if side is None else side, "seed": seed}
    options |= {"counts": counts, "label_noise": label_noise, "ambiguity": ambiguity}
    _refuse_stray(context, clip, clips)
    if dataset is None:
        if clip is not None or clips is not None or not is_default(**options):
            raise DataError("give a folder: only the default set has a place of its own, in the cache")
        dataset = cached_folder()
    with stop_asked() as stop:
        if clip is not None:
            from mien.render.clips import render_clip

            content = {"label": label, "second": second, "seconds": seconds or 4.0, "rate": rate}
            size = 128 if side is None else side
            progress = TerminalCounting(stop=stop)
            total = render_clip(dataset, clip, **content, side=size, seed=seed, progress=progress)
            print(f"{dataset}: {total} frames, truth.csv and clip.avi")
            return
        if clips is not None:
            options = {"clips": clips, "side": options["side"], "seed": seed, "rate": rate}
            options["seconds"] = seconds or 3.0
        _render_dataset(dataset, options, page, TerminalCounting(stop=stop))


def _refuse_stray(context: typer.Context, clip: str | None, clips: int | None) -> None:
    """Raise DataError for an option that would be passed over: of clips where none are made, or of faces."""
    from mien.errors import DataError

    if clip is not None and clips is not None:
        raise DataError("--clip makes one clip and --clips a data set of them; give one of the two")
    stray, why = OF_CLIPS, "a clip; give --clip, too"
    if clips is not None:
        stray = (*OF_FACES, *(name for name in OF_CLIPS if name not in OF_CLIP_SETS))
        why = "what --clips does not make"
    elif clip is not None:
        stray, why = OF_FACES, "a data set, and --clip makes none"
    for name in stray:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise DataError(f"--{name.replace('_', '-')} is of {why}")


def _render_dataset(folder: Path, options: dict, page: Path | None, progress) -> None:
    from mien.dataset import summary
    from mien.render import render, render_clips, write_page
    from mien.workers import available_cores

    make = render_clips if "clips" in options else render
    info = make(folder, **options, workers=available_cores(), progress=progress)
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
    store: Annotated[
        bool,
        typer.Option(
            "--store",
            help="keep the families of copies beside the faces: reports conclude from those without any",
        ),
    ] = False,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="a table by networks not trained on its faces, to find doubtful labels; repeatable"
        ),
    ] = None,
) -> None:
    """Find copies, poor images and wrong labels in a data set."""
    from mien.audit import DROPPED_BY_DEFAULT, audit, summary
    from mien.dataset import FAMILIES_FILE
    from mien.errors import DataError
    from mien.progress import TerminalCounting

    if kinds is not None and drop is None:
        raise DataError("--kinds says what --drop FOLDER leaves out; give that, too")
    chosen = DROPPED_BY_DEFAULT if kinds is None else [k.strip() for k in kinds.split(",") if k.strip()]
    with stop_asked() as stop:
        progress = TerminalCounting(stop=stop)
        result = audit(
            dataset,
            out,
            drop=drop,
            kinds=chosen,
            store=store,
            predictions=predictions or (),
            progress=progress,
        )
        print(summary(result))
    if store:
        print(dataset / FAMILIES_FILE)


@app.command()
def info(
    path: Annotated[
        Path, typer.Argument(help="a data set, run, folder of runs, recipe, model or table of predictions")
    ],
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="of a folder of runs: write a row a run here")
    ] = None,
) -> None:
    """Say what a file or folder of mien's is."""
    from mien.info import info, write_runs

    if csv is not None:
        write_runs(path, csv)
    print(info(path))
