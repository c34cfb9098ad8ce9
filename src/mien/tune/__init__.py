"""Tuning: a space and a data set's train and val become a search. Knows nothing about the test split.

`mien.tune.space_file` reads spaces, `mien.tune.search` searches, `mien.tune.study` reads any Optuna
storage into plain frozen objects and `mien.tune.report` draws them; the last two need no torch.
"""

JOURNAL = "journal.log"  # in a search's folder: Optuna's storage of its trials
