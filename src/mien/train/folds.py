"""What a cross-validation found, in words. Trains and judges nothing."""

from collections.abc import Sequence

import numpy as np

from mien.recipe import chosen_on_val
from mien.run import Run, began_with
from mien.text import joined


def summary(runs: Sequence[Run], faces: Sequence[int]) -> str:
    """Return how the networks of all folds of one seed read their own folds, of `faces` each, as sentences."""
    found = np.array([run.result()["val"]["accuracy"] for run in runs])
    pooled = np.average(found, weights=faces)
    chosen = chosen_on_val(runs[0].recipe)
    choice = "Nothing was chosen on its fold."
    if chosen:
        choice = f"Chosen on that very fold, which flatters the figures: {joined(chosen)}."
    reader, began = "had not seen it", began_with(runs[0])
    if began:
        reader, began = "was not trained on it here", f" {began}"
    return (
        f"{runs[0].name}, seed {runs[0].seed}: accuracy {found.mean():.1%} in the mean over {len(runs)} folds, "
        f"standard deviation {100 * found.std(ddof=1):.1f} points; {pooled:.1%} of all {sum(faces):,} faces, each "
        f"read by the network that {reader}. {choice}{began}"
    )
