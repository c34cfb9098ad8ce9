"""Training: a data set and a recipe become a run. Knows nothing about the test split."""

from mien.train.loop import train

__all__ = ["train"]
