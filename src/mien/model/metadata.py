"""What a model's file says of itself, checked key by key. Knows nothing about graphs.

mien.format       "2"
mien.name         what it goes by
mien.labels       the classes, in the order of the probabilities
mien.side         pixels a side of a face
mien.crop         how a face must be cropped: where its marks lie, as shares of the side, and how it may lean
mien.temperature  what the logits are divided by (in the graph already)
mien.threshold    below this highest probability the answer is "uncertain"
mien.prior        the share that answers take each class to have, by label; where it is missing, that of train
mien.data         fingerprint, origin, counts and notes of the data set
mien.runs         of each run that it is made of name, seed, recipe (TOML) and the weights' sha256
mien.reading      the views that a face is read in, mirror and shift as a recipe has them; precision, fp32 or int8
mien.clip         of a model over time alone: the floats of its state and the kind of its head
mien.card         the model card, Markdown
mien.licence      under which terms it may be used
mien.checksum     sha256 over the graph and all of the above
"""

from mien.labels import refuse_class_names
from mien.model.prior import read_prior, train_shares
from mien.reading import misfit, parse_json
from mien.text import escaped, escaped_lines

TEXTS = ("name", "licence", "card")
SHAPES = {
    "labels": [str],
    "side": int,
    "crop": {"marks": [str], "template": [[float]], "upright": float},
    "temperature": float,
    "threshold": float,
    "data": {
        "fingerprint": str,
        "learned_sha256": str,
        "origin": dict,
        "counts": {str: {str: int}},
        "notes": [str],
    },
    "runs": [{"name": str, "seed": int, "recipe": str, "weights_sha256": str}],
    "reading": {"mirror": bool, "shift": int, "precision": str},
}
LARGEST_SIDE = 1024
LARGEST_STATE = 2**20
FEWEST_CLASSES, MOST_CLASSES = 2, 1000


def parsed(metadata: dict[str, str]) -> dict:
    """Return the values by key, without "mien."; raises ValueError or DataError with what is wrong of which key."""
    values: dict = {name: _text(metadata, name) for name in TEXTS}
    for name, shape in SHAPES.items():
        try:
            values[name] = parse_json(metadata[f"mien.{name}"])
        except KeyError:
            raise ValueError(f"mien.{name} is missing") from None
        except ValueError as fault:
            raise ValueError(f"mien.{name}: {fault}") from None
        if fault := misfit(values[name], shape, f"mien.{name}"):
            raise ValueError(fault)
    _refuse_values(values)
    values["prior"] = _prior(metadata.get("mien.prior"), values)
    values["state_size"] = _state_size(metadata.get("mien.clip"))
    return values


def _state_size(text: str | None) -> int:
    """Return the floats of the state of a model over time, 0 of one that knows single faces alone."""
    if text is None:
        return 0
    clip = parse_json(text)
    if fault := misfit(clip, {"state": int, "head": str}, "mien.clip"):
        raise ValueError(fault)
    if not 1 <= clip["state"] <= LARGEST_STATE:
        raise ValueError("mien.clip has a state of a size that no model has")
    return clip["state"]


def _prior(text: str | None, values: dict) -> tuple[float, ...]:
    """Return the share of each label that a file's answers assume; train's where it does not say so."""
    train = train_shares(values["data"]["counts"].get("train", {}), values["labels"])
    if text is None:
        return train
    try:
        prior = parse_json(text)
    except ValueError as fault:
        raise ValueError(f"mien.prior: {fault}") from None
    if fault := misfit(prior, {str: float}, "mien.prior"):
        raise ValueError(fault)
    return read_prior(prior, values["labels"], train)


def _text(metadata: dict[str, str], name: str) -> str:
    """Return a plain text that a terminal shows as it is; a card alone may have several lines."""
    text = metadata.get(f"mien.{name}")
    if text is None:
        raise ValueError(f"mien.{name} is missing")
    shown = escaped_lines(text) if name == "card" else escaped(text)
    if shown != text:
        raise ValueError(f"mien.{name} has control characters")
    return text


def _refuse_values(values: dict) -> None:
    """Raise ValueError or DataError for values of the right type that no model can have."""
    refuse_class_names(values["labels"])
    crop, data = values["crop"], values["data"]
    wrong = {
        "labels": not FEWEST_CLASSES <= len(values["labels"]) <= MOST_CLASSES,
        "side": not 1 <= values["side"] <= LARGEST_SIDE,
        "crop": any(len(point) != 2 for point in crop["template"])
        or len(crop["template"]) != len(crop["marks"]),
        "temperature": not values["temperature"] > 0,
        "threshold": not 0 <= values["threshold"] <= 1,
        "data": any(set(counts) != set(values["labels"]) for counts in data["counts"].values()),
        "runs": not values["runs"],
        "reading": values["reading"]["precision"] not in ("fp32", "int8"),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"mien.{name} has values that no model has")
