"""What a server says of its model: all that a page needs to classify by itself, and the card. Reads no picture."""

from dataclasses import asdict

from mien import __version__
from mien.faces import finder, small
from mien.model import Model
from mien.model.prior import prior_gains
from mien.predict import occlusion
from mien.predict.answer import LIMITS
from mien.predict.rows import FORMAT
from mien.serve.settings import Settings
from mien.video import follow, steady

CARD = "GET /v1/model"  # where an answer says that the card stands
DETECTOR = (
    "long_side", "close_side", "close_border", "threshold", "most_overlap", "multiple", "doubtful", "sure_of_two",
    "sure_of_three", "mirrored_sizes", "mirrored_points", "again_around", "again_side", "again_border", "most_again",
    "border_spared", "near_side", "near_room",
)  # fmt: skip
FOLLOW = ("full_every_seconds", "kept_score", "gap_seconds", "most_moved", "moved_a_second", "most_grown", "thumb",
          "cut_below", "flat")  # fmt: skip
SMALL_FACES = ("small", "small_in_larger", "few", "enlarged", "most_times", "tile", "overlap")
EXPLAIN = ("across", "steps", "reach")


def about(model: Model, settings: Settings, model_version: str, detector_version: str) -> dict:
    """Return the JSON of `GET /v1/model`; the addresses in it are relative to its own."""
    limits = settings.limits
    return describe(model, model_version, detector_version, settings.notice) | {
        "samples_url": "samples",
        "max_body_bytes": limits.body_bytes,
        "max_pixels": limits.pixels,
        "max_pictures": limits.pictures,
        "max_faces": limits.faces,
        "max_explained": limits.explained,
        "max_seconds": limits.seconds,
        "api": True,
        "key": settings.api_key is not None,
        "reports": settings.reports is not None,
    }


def describe(model: Model, model_version: str, detector_version: str, notice: str) -> dict:
    """Return what a page needs to classify by itself; the addresses are relative to that of the JSON."""
    return {
        "mien": __version__,
        "format": FORMAT,
        "name": model.name,
        "sha256": model.sha256,
        "labels": list(model.labels),
        "side": model.side,
        "state_size": model.state_size,
        "threshold": model.threshold,
        "prior": dict(zip(model.labels, model.prior, strict=True)),
        "prior_gain": prior_gains(model.graph_prior, model.prior).tolist(),
        "temperature": model.temperature,
        "crop": model.crop,
        "reading": model.reading,
        "licence": model.licence,
        "notice": notice,
        "limits": LIMITS,
        "card": model.card,
        "card_html": card_html(model.card),
        "model_url": f"model.onnx?v={model_version}",
        "detector_url": f"detector.onnx?v={detector_version}",
        "detector": _constants(finder, DETECTOR),
        "small_faces": _constants(small, SMALL_FACES) | _constants(finder, ("worth_a_larger_view",)),
        "explain": _constants(occlusion, EXPLAIN),
        "follow": _constants(follow, FOLLOW),
        "steady": {
            **asdict(steady.default_settings(over_time=model.state_size > 0)),
            "faintest": steady.FAINTEST,
        },
    }


def _constants(module, names: tuple[str, ...]) -> dict:
    return {name: getattr(module, name.upper()) for name in names}


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
