"""The cards of the models that ship, made anew with what results/ says of them: python scripts/cards.py

What a card has of its own (data, results, calibration, recipe) stays, and so does the graph, with its answers.
"""

from pathlib import Path

from mien.export.card import caveats
from mien.export.reports import fairness_section, stress_section
from mien.files import write_atomic
from mien.model import Model, read_model, shipped_models
from mien.model.card import CAVEATS, DETAILS, FAIRNESS, OWN, STRESS, compose, sections_of
from mien.model.onnx_file import CHECKSUM, read_onnx, with_metadata, without_metadata
from results import ROOT, rows_of

RESULTS = ROOT / "results"


def card(model: Model) -> str:
    """Return a model's card with its figures of stress and fairness."""
    own = {title: text for title, text in sections_of(model.card).items() if title in OWN}
    stress, fairness = RESULTS / "stress-models.csv", RESULTS / "fairness-outcomes.csv"
    if knows(stress, model.name):
        own[STRESS] = stress_section(stress, RESULTS / "stress-conditions.csv", model.name)
    if knows(fairness, model.name):
        own[FAIRNESS] = fairness_section(fairness, model.name)
    own[CAVEATS] = caveats(model)
    return compose(model.name, own.pop(DETAILS), own)


def knows(table: Path, name: str) -> bool:
    """Return whether a kept table of numbers has the model."""
    return table.exists() and any(row["model"] == name for row in rows_of(table.stem))


def main() -> None:
    """Write the files that ship, with nothing but their card changed."""
    for name, path in shipped_models().items():
        data = path.read_bytes()
        metadata = {key: text for key, text in read_onnx(data).metadata.items() if key != CHECKSUM}
        metadata["mien.card"] = card(read_model(name))
        write_atomic(path, with_metadata(without_metadata(data), metadata))
        print(path)


if __name__ == "__main__":
    main()
