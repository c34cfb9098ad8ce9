"""The command that reads videos and cameras."""

import sys
from typing import Annotated

import typer

from mien.cli.app import EXIT_LEFT_OUT, app, stop_asked
from mien.cli.reading import (
    LIMITS,
    CsvOption,
    DeviceOption,
    JsonOption,
    LongSideOption,
    MinFaceOption,
    MinScoreOption,
    ModelOption,
    PriorOption,
    ResumeOption,
    ThresholdOption,
)
from mien.reading import DEFAULT_MODEL


def _region(text: str) -> tuple[int, int, int, int]:
    """Return left, top, width and height of "x,y,w,h"."""
    try:
        left, top, width, height = map(int, text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--region {text}: not x,y,width,height, four whole numbers of pixels"
        ) from None
    return left, top, width, height


@app.command(epilog=LIMITS)
def video(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="videos, folders, patterns, frames as 'f/%05d.png', or a camera as /dev/video0",
        ),
    ] = None,
    camera: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="a camera of this machine, as 0; Ctrl-C ends it")
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    csv: CsvOption = None,
    json: JsonOption = None,
    people: Annotated[
        str | None, typer.Option(metavar="FILE", help="write a row a person, with totals: CSV")
    ] = None,
    annotate: Annotated[
        str | None,
        typer.Option(metavar="FILE|DIR", help="write the video with boxes and labels: .mp4, .webm, .avi, …"),
    ] = None,
    timeline: Annotated[
        str | None,
        typer.Option(metavar="FILE|DIR", help="write a figure of each person over time: .svg or .png"),
    ] = None,
    long_side: LongSideOption = 640,
    threshold: ThresholdOption = None,
    prior: PriorOption = None,
    min_score: MinScoreOption = 0.0,
    min_face: MinFaceOption = 0.0,
    region: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="only faces in this part of the frame, in pixels")
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", help="take every Nth frame alone")] = 1,
    seconds: Annotated[float | None, typer.Option(help="read no more of each source than this")] = None,
    frames: Annotated[int | None, typer.Option(help="read no more of each source than this")] = None,
    rate: Annotated[float, typer.Option(help="frames a second of numbered pictures")] = 25.0,
    device: DeviceOption = "cpu",
    resume: ResumeOption = False,
) -> None:
    """Track faces and their expression in videos or a camera.

    Exit status 1 where some videos failed.
    """
    from mien.progress import TerminalCounting
    from mien.video import video

    rows_on_terminal = "-" in (csv, json) and sys.stdout.isatty()
    outputs = {"csv": csv, "json": json, "people": people, "annotate": annotate, "timeline": timeline}
    answers = {"threshold": threshold, "prior": prior}
    detected = {
        "long_side": long_side,
        "min_score": min_score,
        "min_face": min_face,
        "device": device,
        **answers,
    }
    limits = {"every": every, "seconds": seconds, "frames": frames, "rate": rate}
    part = _region(region) if region is not None else None
    with stop_asked() as stop:
        counts = video(
            sources or (), camera=camera, model=model, **outputs, **detected, **limits, region=part,
            resume=resume, stop=stop, progress=TerminalCounting(stop=stop, bar=not rows_on_terminal),
        )  # fmt: skip
    if counts["failed"]:
        raise typer.Exit(EXIT_LEFT_OUT)
