"""The sections of a model card, what is said of any model, and its scores as a hub wants them. Computes no figure.

After Mitchell et al., "Model cards for model reporting", 2019; the metadata is Hugging Face's. What is said of the law
stands with its sources in docs/responsible-use.md.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

DETAILS, USE, FACTORS, METRICS = "Model details", "Intended use", "Factors", "Metrics"
TRAINING, EVALUATION, ANALYSES = "Training data", "Evaluation data", "Quantitative analyses"
ETHICS, CAVEATS = "Ethical considerations", "Caveats and recommendations"
INTERFACE, RECIPE, LICENCE = "Input and output", "Recipe", "Licence"
OUT_OF_SCOPE, FORBIDDEN, DEPLOYERS = "Out of scope", "Forbidden uses", "What a deployer owes"
RESULTS, CALIBRATION, EIGHT_BITS = "Results", "Calibration", "Eight bits"
STRESS, FAIRNESS = "Under corruptions", "Between groups of rendered people"
LAYOUT = (
    *((2, DETAILS), (3, INTERFACE), (3, LICENCE)),
    *((2, USE), (3, OUT_OF_SCOPE), (3, FORBIDDEN), (3, DEPLOYERS)),
    *((2, FACTORS), (2, METRICS), (2, EVALUATION), (2, TRAINING)),
    *((2, ANALYSES), (3, RESULTS), (3, CALIBRATION), (3, EIGHT_BITS), (3, STRESS), (3, FAIRNESS)),
    *((2, ETHICS), (2, CAVEATS), (2, RECIPE)),
)
"""The sections of a card in their order, each with the level of its heading."""

OWN = (DETAILS, INTERFACE, LICENCE, EVALUATION, TRAINING, RESULTS, CALIBRATION, EIGHT_BITS, RECIPE)
"""The sections that hold what is known of one model alone."""

SAID_OF_ANY = {
    USE: "Saying how faces in photographs and videos look to people: research, art, games, sorting one's own pictures, "
    "tools that their users run on themselves. Its users are developers and researchers who can judge it on their own "
    "labeled faces first (`mien evaluate MODEL --data FOLDER`).",
    OUT_OF_SCOPE: "- what a person feels, thinks or intends: it says how a face looks, and faces do not tell emotions "
    "reliably (Barrett et al., 2019)\n"
    "- lies, illness, pain, attention or character\n"
    "- decisions about a person: hiring, grading, lending, policing, insurance, care\n"
    "- people who do not know of it or have not agreed\n"
    "- children, animals, drawings and pictures of no face: it was not judged on them",
    FORBIDDEN: "This is not legal advice.\n\n"
    "- Inferring emotions of people at work or in education is prohibited in the EU, but for medical or safety reasons "
    "(AI Act, Regulation (EU) 2024/1689, Art. 5(1)(f), since 2025-02-02).\n"
    "- Most other uses on people are high-risk there (Annex III, point 1(c)); those duties apply from 2027-12-02.\n"
    "- That mien is open source exempts nobody from Art. 5 or Art. 50 (Art. 2(12)).",
    DEPLOYERS: "Whoever uses it on people must inform those who are exposed to it, in a clear way and at the latest at "
    "their first exposure (Art. 50(3) and (5), since 2026-08-02), and processes their data under the GDPR. `mien serve "
    "--notice TEXT` shows a notice before a camera starts.",
    FACTORS: "Light, blur, resolution, cover, pose and the camera change the answers (see under corruptions, where it "
    "was measured). Who a person is may change them, too; differences between rendered people are no measure of "
    "differences between people.",
    METRICS: "Accuracy, balanced accuracy and macro F1 say how often it agrees with labels, log loss, Brier score and "
    'ECE how honest its probabilities are. The threshold below which it answers "uncertain" is part of the model. '
    "Brackets hold 95 % intervals of a bootstrap over faces, copies of one face drawn together.",
    ETHICS: "The pictures that it learned from were collected without asking the people in them. Reading expressions "
    "off faces invites conclusions about people that the pictures do not bear out; whoever builds on it decides for "
    "whom its errors matter. It runs on the device: mien sends no picture anywhere.",
}
HEADING = re.compile(r"(#{2,3}) (.+)")


def compose(name: str, introduction: str, sections: Mapping[str, str]) -> str:
    """Return a card, Markdown; `sections` are by title, and what is said of any model is added where they lack it."""
    bodies = {**SAID_OF_ANY, DETAILS: introduction, **sections}
    parts = [f"# {name}"]
    for level, title in LAYOUT:
        if title in bodies or title == ANALYSES:
            parts += [f"{'#' * level} {title}", *([bodies[title]] if title in bodies else [])]
    return "\n\n".join(parts) + "\n"


def sections_of(card: str) -> dict[str, str]:
    """Return a card's sections by title, the introduction below its name as "" where it has no heading."""
    sections, title, fenced = {"": []}, "", False
    for line in card.splitlines()[1:]:
        fenced ^= line.startswith("```")
        if not fenced and (heading := HEADING.fullmatch(line)):
            title = heading[2]
            sections[title] = []
        else:
            sections[title].append(line)
    return {title: text for title, lines in sections.items() if (text := "\n".join(lines).strip())}


def scores_of(card: str) -> dict[str, dict[str, float]]:
    """Return the scores in a card's table of results by part ("val", "test, clean") and name; shares in percent."""
    rows = _first_table(sections_of(card).get(RESULTS, ""))
    if not rows:
        return {}
    (_, *parts), *rest = rows
    scores: dict[str, dict[str, float]] = {part: {} for part in parts}
    for title, *cells in rest:
        for part, cell in zip(parts, cells, strict=False):
            if point := re.match(r"[\d.]+(?= \[)", cell):
                scores[part][title] = float(point[0])
    return scores


def _first_table(text: str) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            if rows:
                break
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not all(re.fullmatch(r"-+:?", cell) for cell in cells):
            rows.append(cells)
    return rows


def model_index(card: str, name: str, kind: str) -> list[dict[str, Any]]:
    """Return a card's accuracy and macro F1 as Hugging Face's `model-index`; `kind` is that of the data set."""
    names = {"accuracy %": "accuracy", "macro F1 %": "f1"}
    results = [
        {
            "task": {"type": "image-classification", "name": "facial expression recognition"},
            "dataset": {"type": kind, "name": f"{kind}, {part}", "split": part.partition(",")[0]},
            "metrics": [
                {"type": names[title], "name": title, "value": value}
                for title, value in scores.items()
                if title in names
            ],
        }
        for part, scores in scores_of(card).items()
    ]
    return [{"name": name, "results": results}] if results else []
