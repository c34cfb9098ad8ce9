"""The names and orders of expression classes and splits. Knows nothing about files or pictures.

A swapped label order is the classic silent fault of this field (FER2013's table and its
folder copies differ), so the orders stand here once and everything else imports them.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from mien.errors import DataError

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes in the order of its table: 0 is angry, 6 is neutral."""

NUMBERS = {str(number): label for number, label in enumerate(LABELS)}
"""The numbers of FER2013's table."""

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

FERPLUS_NAMES = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
"""FER2013's classes in FER+'s words."""

FERPLUS_LABELS = (*LABELS, "contempt")
"""FER+'s eight classes in our words and order."""

RAFDB = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happy",
    "5": "sad",
    "6": "angry",
    "7": "neutral",
}
"""The numbers of RAF-DB's basic set (Li et al. 2017)."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "angry": ("anger", "angered"),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid", "scared"),
    "happy": ("happiness", "joy", "joyful"),
    "sad": ("sadness", "sorrow"),
    "surprise": ("surprised", "suprise", "suprised"),
    "neutral": ("neutrality", "no emotion"),
}
"""What other sets, and their misspelled copies, call the seven."""

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "publictest", "public test"), "val"),
    **dict.fromkeys(("test", "testing", "privatetest", "private test"), "test"),
}


CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1, line and paragraph separators, marks of direction (Unicode's Bidi_Control), and what cannot be encoded."""


def refuse_class_names(names: Sequence[str]) -> None:
    """Raise DataError for class names that tables and terminals cannot show, or that are not different."""
    for name in names:
        if not name.strip() or name != name.strip():
            raise DataError(f'"{name}" is no name of a class; give it one, without spaces around it')
        if CONTROL.search(name):
            raise DataError(f"{name!r} is no name of a class: it has control characters or line breaks")
    if len(set(names)) < len(names):
        raise DataError(f"two classes have one name ({', '.join(names)})")


def plain(word: str) -> str:
    """Return a name without case, numbering and separators: "03_Happy " and "happy" are one."""
    word = re.sub(r"[\s_-]+", " ", word.casefold()).strip()
    return re.sub(r"^\d+[ .]+(?=\D)", "", word)


def split_of(word: str) -> str | None:
    """Return the split that a word means, or None."""
    return SPLIT_WORDS.get(plain(word))


def known_words(word: str, known: Iterable[object]) -> str:
    """What `did_you_mean` says, and then all the known words: the end of a line about one that is not known."""
    return f"{did_you_mean(word, known) or '.'} Known: {', '.join(map(str, known))}"


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """'; did you mean "x"?' for the nearest of the known words, or the class that a word stands for, or ''."""
    by_plain = {plain(str(one)): str(one) for one in known}
    meant = (name for name, others in SYNONYMS.items() if plain(str(word)) in others and name in by_plain)
    near = [*meant, *get_close_matches(plain(str(word)), by_plain, n=1, cutoff=0.6)]
    return f'; did you mean "{by_plain[near[0]]}"?' if near else ""
