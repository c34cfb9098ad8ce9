"""The figures and facts in the card of a model file, Markdown. What is said of any model stands in `mien.model.card`.

Every figure is of the file's own graph and comes from `judge`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.export.calibrate import ANSWERED, unlearned
from mien.judge import Verdict, accuracy, ece, judge, log_loss
from mien.judge.parts import CLEAN, different_parts, only_part
from mien.judge.text import class_table, scores_table
from mien.labels import SPLITS
from mien.model import Model, views_in_words
from mien.model.card import (
    CALIBRATION,
    CAVEATS,
    EIGHT_BITS,
    EVALUATION,
    INTERFACE,
    LICENCE,
    RECIPE,
    RESULTS,
    TRAINING,
    compose,
)
from mien.model.prior import TRAIN, shift_prior
from mien.pages.tables import Table
from mien.predictions import Predictions
from mien.recipe import ClipHead, Recipe, chosen_on_val, to_toml
from mien.run import Run, began_with
from mien.text import capitalized, joined, percent, seeds_in_words, thousands

NAMES = {
    "fer2013": "FER2013",
    "rendered": "rendered faces, shown by no person",
    "rendered-clips": "rendered clips, shown by no person",
    "clips": "faces tracked in clips",
}
FER2013_LIMITS = (
    "FER2013's pictures were found on the web by search words, and many of its labels are doubtful: people reached "
    "about 65 % on it (Goodfellow et al., 2013). The figures below are agreement with those labels.",
    "Who the people in it are is not recorded, so it is not known for whom the model is worse. Expect that it is for "
    "some.",
)
MAJORITY_LIMITS = (
    "FER2013's pictures were found on the web by search words. The labels here are not FER2013's own: each is what "
    "most of FER+'s ten annotators said of the picture (Barsoum et al., 2016); pictures without a majority were left "
    "out. So the figures below say how often it answers as most annotators do, on pictures on which they agree.",
    FER2013_LIMITS[1],
)
RENDERED_LIMITS = (
    "It learned from rendered faces that show stylized prototypes. **Its figures are no measure of performance on "
    "people.**",
)
LIMITS = (
    "It gives the expression that people would see in a face, not what a person feels.",
    "It has these classes and no others: whatever it is shown, it gives probabilities that sum to 1.",
    "It was judged on upright crops as described here. Other crops, turned, covered, blurred or badly lit faces are "
    "classified worse, pictures that show no face to no purpose.",
    "Probabilities are calibrated for faces like those of val. On others they may be too high.",
)


def card(
    model: Model,
    runs: Sequence[Run],
    splits: Mapping[str, Predictions],
    *,
    plain: np.ndarray,
    exact: Predictions,
    reports: Mapping[str, str] | None = None,
) -> str:
    """Return the card; `splits` holds the graph's predictions on val and, where test was opened, on test.

    `plain` are the probabilities on val, float64 (N, C), before calibration, `exact` what the graph said of val
    before it was made an 8-bit one, `reports` sections of other reports by title.
    """
    terms = "The terms of the pictures that it was trained on may bind whoever uses it, too."
    sections = {
        INTERFACE: _usage(model),
        RECIPE: "\n\n".join(_recipes(runs)),
        LICENCE: f"{_sentence(model.licence)} {terms}",
        EVALUATION: _evaluation(splits),
        TRAINING: _data(model),
        RESULTS: "\n\n".join(_results(splits, runs)),
        CALIBRATION: _calibration(model, splits, plain),
        **_eight_bits(model, splits["val"], exact),
        **(reports or {}),
        CAVEATS: caveats(model),
    }
    return compose(model.name, _introduction(model, runs), sections)


def _introduction(model: Model, runs: Sequence[Run]) -> str:
    networks = "A network" if len(runs) == 1 else f"{len(runs)} networks, whose mean is taken,"
    verb = "classifies" if len(runs) == 1 else "classify"
    parameters = sum(run.network()["parameters"] for run in runs)
    return (
        f"{networks} of {thousands(parameters)} parameters that {verb} the expression of a grey face of "
        f"{model.side} × {model.side} pixels: {joined(model.labels, 'or')}. Each face is classified "
        f"{views_in_words(model.reading)}. The results here are those of this very file, run by onnxruntime."
        f"{_over_time(model, runs[0])}"
    )


def _over_time(model: Model, run: Run) -> str:
    """Return what is to be known of a model over time, after a space; "" of one of single faces."""
    network = run.recipe.network
    if not (model.state_size and isinstance(network, ClipHead)):
        return ""
    trained_along = " (trained along with it, end to end)" if network.end_to_end else ""
    return (
        f" It knows time: those parameters are a head ({network.head}) that reads the features which the model "
        f"{Path(network.pretrained).stem} gives of each frame{trained_along} and remembers "
        f"{thousands(model.state_size)} numbers a face. The results are those of the frames of clips, in their order."
    )


def _usage(model: Model) -> str:
    places = zip(model.crop["marks"], model.crop["template"], strict=True)
    points = ", ".join(f"{name} ({x:.3f}, {y:.3f})" for name, (x, y) in places)
    return (
        f"Input `faces`: uint8 (N, 1, {model.side}, {model.side}), grey, 0 to 255, nothing subtracted. Output "
        f"`probabilities`: float32 (N, {len(model.labels)}) in the order {', '.join(model.labels)}. A face must be "
        f"turned, scaled and moved until its marks lie as near as can be to {points}, x and y as shares of the side "
        f"from the upper left corner. The marks of the box are the middles of its sides; it stands upright, and is "
        f"turned by what a face leans beyond {model.crop['upright']:g}°. Where the highest probability is below "
        f'{model.threshold:g} the answer is "uncertain".{_state_usage(model)}'
    )


def _state_usage(model: Model) -> str:
    """Return how a model over time is run, after a space; "" of one of single faces."""
    if not model.state_size:
        return ""
    size, classes = model.state_size, len(model.labels)
    return (
        f" Further inputs are `seconds`, float32 (N,), since each face's frame before (0 for the first), and `state`, "
        f"float32 (N, {size}), the `next_state` of that frame (zeros for the first). Output "
        f"`clip_probabilities`, float32 (N, {classes}), is what the clip so far shows."
    )


def caveats(model: Model) -> str:
    """Return what is known of a model's limits, by what it learned from, as a list."""
    origin = model.data["origin"]
    fer2013 = MAJORITY_LIMITS if origin.get("options", {}).get("majority") else FER2013_LIMITS
    by_kind = {"fer2013": fer2013, "rendered": RENDERED_LIMITS, "rendered-clips": RENDERED_LIMITS}
    return _listed(by_kind.get(origin.get("kind", ""), ()) + LIMITS)


def _evaluation(splits: Mapping[str, Predictions]) -> str:
    sizes = joined([f"{thousands(len(table))} faces of {split}" for split, table in splits.items()])
    return f"{capitalized(sizes)} of the same data set."


def _data(model: Model) -> str:
    origin, counts = model.data["origin"], model.data["counts"]
    kind = origin.get("kind", "not known")
    files = ", ".join(f"{name} (sha256 {digest})" for name, digest in origin.get("files", {}).items())
    rows = [(label, *(thousands(counts[split][label]) for split in SPLITS)) for label in model.labels]
    rows.append(("all", *(thousands(sum(counts[split].values())) for split in SPLITS)))
    sentences = [
        f"{NAMES.get(kind, kind)}, fingerprint {model.data['fingerprint']}{f', from {files}' if files else ''}."
    ]
    sentences += [
        *model.data["notes"],
        "The networks learned from train; what was chosen and calibrated was so on val.",
    ]
    return f"{' '.join(sentences)}\n\n{Table('', ('class', *SPLITS), [('', rows)]).markdown()}"


def _results(splits: Mapping[str, Predictions], runs: Sequence[Run]) -> list[str]:
    verdicts = verdicts_by_part(splits)
    sentences = list(dict.fromkeys(began for run in runs if (began := began_with(run))))
    chosen = list(dict.fromkeys(what for run in runs for what in chosen_on_val(run.recipe)))
    val = joined([*chosen, "temperature and threshold"])
    sentences.append(f"Val chose {val}, so its figures flatter the model a little.")
    if "test" in splits:
        sentences.append("Nothing was chosen on test.")
    else:
        sentences.append(
            "**Test was not opened for this file**: `mien evaluate --test`, and export it again."
        )
    sentences.append(
        "Brackets hold 95 % intervals over faces; how much other seeds would differ is not in them. Clean are the "
        "faces that do not stand in an earlier split too, pixel for pixel."
    )
    last = list(verdicts)[-1]
    return [
        " ".join(sentences),
        scores_table(verdicts).without("seeds").markdown(),
        f"Each class, {last}:",
        class_table(verdicts[last]).markdown(),
        f"Confusion, {last} (rows true labels, columns predicted ones):",
        _confusion(splits["val"].classes, verdicts[last]),
    ]


def verdicts_by_part(splits: Mapping[str, Predictions]) -> dict[str, Verdict]:
    """Return the verdicts on each split, whole and, where these are known and smaller, on its cleaner parts."""
    verdicts = {}
    for split, predictions in splits.items():
        for part in reversed(different_parts(predictions)):
            name = split if part == "all" else f"{split}, {CLEAN[part]}"
            verdicts[name] = judge(only_part([predictions], part))
    return verdicts


def _confusion(labels: Sequence[str], verdict: Verdict) -> str:
    rows = [(label, *map(thousands, row)) for label, row in zip(labels, verdict.confusion, strict=True)]
    return Table("", ("", *labels), [("", rows)]).markdown()


def _calibration(model: Model, splits: Mapping[str, Predictions], plain: np.ndarray) -> str:
    fresh = unlearned(splits["val"].clean)
    val, plain = splits["val"].only(fresh), plain[fresh]
    train = model.with_prior(TRAIN).prior
    calm = shift_prior(val.probs, model.prior, train)
    sentences = [
        f"Temperature and threshold were found on the {thousands(len(val))} clean faces of val. The logarithms of the "
        f"probabilities are divided by a temperature of {model.temperature:g}, at which these have the least log loss: "
        f"{log_loss(val.labels, plain):.3f} before and {log_loss(val.labels, calm):.3f} after; ECE "
        f"{ece(val.labels, plain):.3f} and {ece(val.labels, calm):.3f}. It is in the graph.",
        *([] if model.prior == train else [_other_prior(model)]),
        f"The threshold {model.threshold:g} was chosen so that {percent(ANSWERED, 0)} of them are answered.",
    ]
    for split, table in splits.items():
        clean = table.only(unlearned(table.clean))
        sure = clean.only(clean.probs.max(1) >= model.threshold)
        if len(sure):
            sentences.append(
                f"Of {split}'s clean faces it answers {percent(len(sure) / len(clean))}, "
                f"{percent(accuracy(sure.labels, sure.probs))} of those correctly, against "
                f"{percent(accuracy(clean.labels, clean.probs))} of all."
            )
    return " ".join(sentences)


def _other_prior(model: Model) -> str:
    shares = zip(model.labels, model.prior, strict=True)
    even = np.allclose(model.prior, 1 / len(model.labels))
    named = "each class" if even else ", ".join(f"{label} {percent(share)}" for label, share in shares)
    return (
        f"The graph then brings them to another prior than train's shares (Bayes' rule): it takes {named} "
        f"{'to be as frequent as any other' if even else 'of faces'}. Other priors are a setting of mien's."
    )


def _eight_bits(model: Model, told: Predictions, exact: Predictions) -> dict[str, str]:
    if model.reading["precision"] != "int8":
        return {}
    alike = float(np.mean(told.probs.argmax(1) == exact.probs.argmax(1)))
    before, after = (percent(accuracy(table.labels, table.probs)) for table in (exact, told))
    return {
        EIGHT_BITS: "The networks in this file work in 8-bit whole numbers. On val that turns an accuracy of "
        f"{before} into {after}; {percent(alike)} of the answers stay."
    }


def _recipes(runs: Sequence[Run]) -> list[str]:
    """Return each recipe once, with its seeds."""
    by_recipe: dict[str, list[Run]] = {}
    for run in runs:
        by_recipe.setdefault(to_toml(without_folders(run.recipe)), []).append(run)
    parts = []
    for recipe, members in by_recipe.items():
        seeds = ", ".join(str(run.seed) for run in members)
        epochs = joined(list(dict.fromkeys(str(run.result()["kept_epoch"]) for run in members)))
        parts.append(
            f"{members[0].name}, {seeds_in_words(len(members))} ({seeds}), the weights of epoch {epochs}, trained on "
            f"train alone:"
        )
        parts.append(f"```toml\n{recipe}```")
    return parts


def without_folders(recipe: Recipe) -> Recipe:
    """Return a recipe whose files are named without their folders, which are nobody's business."""
    network = replace(recipe.network, pretrained=Path(recipe.network.pretrained).name)
    files = tuple(Path(file).name for file in recipe.distillation.soft_targets)
    return replace(recipe, network=network, distillation=replace(recipe.distillation, soft_targets=files))


def _listed(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
