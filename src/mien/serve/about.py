"""What a server tells of its model: all that a page needs to read faces by itself, and the card. Reads no picture."""

from dataclasses import asdict

from mien import __version__
from mien.faces import finder, small
from mien.model import Model
from mien.predict import occlusion
from mien.predict.answer import LIMITS
from mien.predict.rows import FORMAT
from mien.serve.settings import Settings
from mien.video import follow, steady

CARD = "GET /v1/model"  # where an answer says that the card stands
MODEL_FILE, DETECTOR_FILE = "model.onnx", "detector.onnx"  # beside `/v1/model`, whose answer names them
DETECTOR = {
    "long_side": finder.LONG_SIDE,
    "close_side": finder.CLOSE_SIDE,
    "close_border": finder.CLOSE_BORDER,
    "threshold": finder.THRESHOLD,
    "most_overlap": finder.MOST_OVERLAP,
    "multiple": finder.MULTIPLE,
    "doubtful": finder.DOUBTFUL,
    "sure_of_two": finder.SURE_OF_TWO,
    "sure_of_three": finder.SURE_OF_THREE,
    "mirrored_sizes": finder.MIRRORED_SIZES,
    "mirrored_points": finder.MIRRORED_POINTS,
    "again_around": finder.AGAIN_AROUND,
    "again_side": finder.AGAIN_SIDE,
    "again_border": finder.AGAIN_BORDER,
    "most_again": finder.MOST_AGAIN,
    "near_side": finder.NEAR_SIDE,
    "near_room": finder.NEAR_ROOM,
}
SMALL_FACES = {
    "small": small.SMALL,
    "small_in_larger": small.SMALL_IN_LARGER,
    "few": small.FEW,
    "enlarged": small.ENLARGED,
    "most_times": small.MOST_TIMES,
    "tile": small.TILE,
    "overlap": small.OVERLAP,
    "worth_a_larger_view": finder.WORTH_A_LARGER_VIEW,
}
FOLLOW = {
    "full_every_seconds": follow.FULL_EVERY_SECONDS,
    "kept_score": follow.KEPT_SCORE,
    "gap_seconds": follow.GAP_SECONDS,
    "most_moved": follow.MOST_MOVED,
    "moved_a_second": follow.MOVED_A_SECOND,
    "most_grown": follow.MOST_GROWN,
    "thumb": follow.THUMB,
    "cut_below": follow.CUT_BELOW,
    "flat": follow.FLAT,
}
STEADY = {**asdict(steady.Settings()), "faintest": steady.FAINTEST}
EXPLAIN = {"across": occlusion.ACROSS, "steps": occlusion.STEPS, "reach": occlusion.REACH}


def about(model: Model, settings: Settings, model_version: str, detector_version: str) -> dict:
    """Return the JSON of `GET /v1/model`."""
    limits = settings.limits
    return {
        "mien": __version__,
        "format": FORMAT,
        "name": model.name,
        "sha256": model.sha256,
        "labels": list(model.labels),
        "side": model.side,
        "threshold": model.threshold,
        "prior": dict(zip(model.labels, model.prior, strict=True)),
        "temperature": model.temperature,
        "crop": model.crop,
        "reading": model.reading,
        "licence": model.licence,
        "limits": LIMITS,
        "card": model.card,
        "card_html": card_html(model.card),
        "model_url": f"{MODEL_FILE}?v={model_version}",
        "detector_url": f"{DETECTOR_FILE}?v={detector_version}",
        "detector": DETECTOR,
        "small_faces": SMALL_FACES,
        "explain": EXPLAIN,
        "follow": FOLLOW,
        "steady": STEADY,
        "max_body_bytes": limits.body_bytes,
        "max_pixels": limits.pixels,
        "max_pictures": limits.pictures,
        "max_faces": limits.faces,
        "max_explained": limits.explained,
        "max_seconds": limits.seconds,
        "key": settings.api_key is not None,
        "reports": settings.reports is not None,
    }


def card_html(card: str) -> str:
    """Return a model card as HTML: HTML in it is shown as text, pictures are left out, headings begin at h3."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(card)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        if token.type in ("th_open", "td_open"):
            token.attrs.pop("style", None)  # an inline style, which the page's policy forbids
        for inner in token.children or ():
            if inner.type == "link_open":
                inner.attrs["rel"] = "noreferrer"
    return reader.renderer.render(tokens, reader.options, {})
