"""The names and orders of expression classes. Knows nothing about files or pictures.

A swapped label order is the classic silent fault of this field (FER2013's table and its
folder copies differ), so the orders stand here once and everything else imports them.
"""

from difflib import get_close_matches

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes in the order of its table: 0 is angry, 6 is neutral."""

SPLITS = ("train", "val", "test")

FER2013_SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}

FERPLUS_VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""Columns of FER+'s vote table, after `Usage` and `Image name`. NF is "not a face"."""


def did_you_mean(word: str, known) -> str:
    """'; did you mean "x"?' for the nearest of the known words, or ''."""
    near = get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
