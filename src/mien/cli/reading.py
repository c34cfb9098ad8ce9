"""The commands that read pictures: predict, serve."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.app import EXIT_LEFT_OUT, app, stop_asked
from mien.devices import DEVICES
from mien.errors import DataError
from mien.pictures import LARGEST_PIXELS
from mien.reading import DEFAULT_MODEL

if TYPE_CHECKING:
    from mien.serve import Settings

FORBIDDEN = "Not for inferring emotions at work or in education (EU AI Act, Art. 5(1)(f))."
LIMITS = (
    f"It says how people would label a face, not what a person feels; limits: mien info MODEL. {FORBIDDEN}"
)
ModelOption = Annotated[str, typer.Option(metavar="NAME|FILE", help="a shipped model or a .onnx file")]
LongSideOption = Annotated[
    int, typer.Option(metavar="PIXELS", help="faces are looked for at this size; more finds smaller ones")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="a lower highest probability is uncertain; by default the model's"),
]
PriorOption = Annotated[
    str | None,
    typer.Option(
        metavar="PRIOR",
        help="how frequent the classes are: train, balanced, between them 1 to 0, or a JSON file",
    ),
]
MinScoreOption = Annotated[
    float, typer.Option(min=0, max=1, help="faces of a lower detector score are dropped")
]
MinFaceOption = Annotated[
    float, typer.Option(min=0, metavar="PIXELS", help="faces less wide or high in the picture are dropped")
]


DeviceOption = Annotated[
    str,
    typer.Option(metavar="NAME", help=f"what runs the networks: {', '.join(DEVICES)}; by default the CPU"),
]
CsvOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="write a row a face as they come; - is standard output")
]
JsonOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="write a line a picture or frame as they come; - is standard output"),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="go on with the tables that a stopped run left")]


def _folder(named: str) -> Path:
    """Return a folder by its name; an empty one, as an unset variable gives, is not the current folder."""
    if not named:
        raise typer.BadParameter("an empty name; a folder is wanted")
    return Path(named)


ParquetOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        parser=_folder,
        help="write a table in parquet files here; the same command goes on; tar, zip and parquet are read",
    ),
]
ListOption = Annotated[
    list[str] | None,
    typer.Option("--list", metavar="FILE", help="paths of pictures, a line each; may be repeated"),
]
ShardOption = Annotated[
    str | None, typer.Option(metavar="K/N", help="of --parquet: make the Kth of N shares of the parts")
]
NameColumnOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="what names the pictures of parquet files; else their row"),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="of --parquet: actors of this Ray cluster make the parts; local starts one"
    ),
]


@app.command(epilog=LIMITS)
def predict(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH", help="photos, folders, patterns as 'in/**/*.jpg', - for standard input"
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    crop: Annotated[
        bool, typer.Option("--crop", help="each picture is a face already: none is looked for")
    ] = False,
    csv: CsvOption = None,
    json: JsonOption = None,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=_folder, help="write each picture with boxes and labels here"),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a contact sheet, one HTML file")
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=_folder, help="write for each face where the network looked"),
    ] = None,
    long_side: LongSideOption = 640,
    threshold: ThresholdOption = None,
    prior: PriorOption = None,
    min_score: MinScoreOption = 0.0,
    min_face: MinFaceOption = 0.0,
    device: DeviceOption = "cpu",
    resume: ResumeOption = False,
    parquet: ParquetOption = None,
    list_file: ListOption = None,
    shard: ShardOption = None,
    name_column: NameColumnOption = None,
    ray: RayOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="threads that work at a time, by default one a core")
    ] = None,
) -> None:
    """Classify the expression of every face in images.

    Exit status 1 where some could not be used.
    """
    import shutil

    from mien.predict import predict
    from mien.predict.sources import all_paths
    from mien.progress import TerminalCounting

    terminal = sys.stdout.isatty()
    outputs = {"csv": csv, "json": json, "annotate": annotate, "page": page, "explain": explain}
    answers = {"threshold": threshold, "prior": prior}
    detected = {
        "long_side": long_side,
        "min_score": min_score,
        "min_face": min_face,
        "device": device,
        **answers,
    }
    in_parts = {"shard": shard, "name_column": name_column, "ray": ray}
    if parquet is not None:
        if beside := [name for name, value in outputs.items() if value is not None]:
            raise DataError(f"--parquet is written alone, without --{beside[0]}")
        chosen = {"workers": workers, "model": model, "crop": crop, **detected}
        _predict_parts(paths or [], parquet, list_file, in_parts, **chosen)
        return
    if without := [name for name, value in in_parts.items() if value is not None]:
        raise DataError(f"--{without[0].replace('_', '-')} goes with --parquet")
    width = shutil.get_terminal_size().columns if terminal else None
    named = all_paths(paths or [], list_file or [])
    with stop_asked() as stop:
        counts = predict(
            named, model=model, crop=crop, **outputs, **detected, resume=resume, workers=workers, width=width,
            progress=TerminalCounting(stop=stop, bar=not terminal),
        )  # fmt: skip
    if counts["failed"]:
        raise typer.Exit(EXIT_LEFT_OUT)


def _predict_parts(
    paths: list[str],
    out: Path,
    lists: list[str] | None,
    in_parts: dict[str, str | None],
    *,
    workers: int | None,
    model: str,
    crop: bool,
    **settings: Any,
) -> None:
    """Write a table in parts."""
    from mien.predict import open_recognizer
    from mien.predict.parts import predict_parts
    from mien.progress import TerminalCounting

    number, _, shards = (shard := in_parts["shard"] or "1/1").partition("/")
    if not (number.isdecimal() and shards.isdecimal()):
        raise DataError(f"--shard is K/N, as 3/16, and not {shard}")
    recognizer = open_recognizer(model, **settings)
    with stop_asked() as stop:
        counts = predict_parts(
            recognizer, paths, out, lists=lists or (), shard=(int(number), int(shards)), crop=crop,
            workers=workers, progress=TerminalCounting(stop=stop), name_column=in_parts["name_column"],
            ray=in_parts["ray"],
        )  # fmt: skip
    if counts["failed"]:
        raise typer.Exit(EXIT_LEFT_OUT)


ProcessesOption = Annotated[
    int | None,
    typer.Option(help="of a worker, that classify pictures; by default the cores are shared out"),
]
ReportsOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", parser=_folder, help="show the reports and runs below this folder, too"),
]
ApiKeyFileOption = Annotated[
    Path | None, typer.Option(help="a file with the key that clients must bring; else MIEN_API_KEY")
]
AllowOriginOption = Annotated[
    list[str] | None, typer.Option(help="a site whose pages may call the API; may be repeated")
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(help="a name the server goes by, beside this machine's; may be repeated"),
]
ProxyOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="the proxy, or its network, whose X-Forwarded-… is believed"),
]


StaticOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", parser=_folder, help="write the page as files for any web host; serve nothing"
    ),
]
# the options that count where only files are written
OF_STATIC = ("model", "threshold", "prior", "notice", "static")


@app.command(
    epilog=f"It says how people would label a face, not what a person feels. {FORBIDDEN} No picture is kept or logged."
)
def serve(
    context: typer.Context,
    model: ModelOption = DEFAULT_MODEL,
    threshold: ThresholdOption = None,
    prior: PriorOption = None,
    static: StaticOption = None,
    host: Annotated[str, typer.Option(help="the address to listen at; 0.0.0.0 lets others in")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any that is free")] = 8000,
    workers: Annotated[int, typer.Option(help="processes that answer requests")] = 1,
    processes: ProcessesOption = None,
    reports: ReportsOption = None,
    api_key_file: ApiKeyFileOption = None,
    allow_origin: AllowOriginOption = None,
    allow_host: AllowHostOption = None,
    proxy: ProxyOption = None,
    root_path: Annotated[
        str, typer.Option(metavar="PREFIX", help="of all paths behind a proxy, as /mien")
    ] = "",
    max_bytes: Annotated[int, typer.Option(help="of a request's body")] = 16 * 2**20,
    max_pixels: Annotated[int, typer.Option(help="of a picture")] = LARGEST_PIXELS,
    max_pictures: Annotated[int, typer.Option(help="in a request")] = 32,
    max_faces: Annotated[int, typer.Option(help="in a picture")] = 200,
    time_limit: Annotated[
        float, typer.Option(help="seconds from a request to its answer, a third of them for a picture")
    ] = 30.0,
    device: DeviceOption = "cpu",
    queue: Annotated[int, typer.Option(help="pictures that wait at once, half of them of one address")] = 128,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="a line a request on standard error, without names")
    ] = False,
    notice: Annotated[
        str, typer.Option(metavar="TEXT", help="what people are told before the page starts a camera")
    ] = "",
    threads: Annotated[str | None, typer.Option(hidden=True, help="renamed to --processes")] = None,
) -> None:
    """Serve a page and an API that classify faces.

    The page classifies in the browser. --reports shows reports and live runs.
    """
    from mien.serve import Limits, Settings, serve
    from mien.serve.settings import read_key

    if threads is not None:
        raise typer.BadParameter("--threads was renamed to --processes")
    if static is not None:
        _write_static(context, Settings(model=model, threshold=threshold, prior=prior, notice=notice), static)
        return
    sizes = {"body_bytes": max_bytes, "pixels": max_pixels, "pictures": max_pictures, "faces": max_faces}
    serve(
        Settings(
            model=model,
            threshold=threshold,
            prior=prior,
            device=device,
            host=host,
            port=port,
            workers=workers,
            processes=processes,
            reports=reports,
            api_key=read_key(api_key_file),
            allow_origins=tuple(allow_origin or ()),
            allow_hosts=tuple(allow_host or ()),
            proxy=proxy,
            root_path=root_path.rstrip("/"),
            access_log=access_log,
            notice=notice,
            limits=Limits(**sizes, seconds=time_limit, waiting=queue),
        )
    )


def _write_static(context: typer.Context, settings: "Settings", target: Path) -> None:
    """Write the page as files; options of a server are refused, as nothing would follow them."""
    from mien.serve.settings import check
    from mien.serve.static import write_static

    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in OF_STATIC and source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(
                f"{option} is for a server, and --static writes files; leave one of them out"
            )
    size = write_static(check(settings), target)
    print(f"{target}: a page with {settings.model}, {size / 1e6:.0f} MB; put it on any web host")
    print(f"to try it here: python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(target))}")
