"""Soft targets of FER+'s annotators: shares of their votes, or the labels that such votes have. Asks no network."""

import numpy as np

from mien.dataset import Dataset, Faces, class_votes, not_asked, vote_counts
from mien.errors import DataError

SOLVER_STEPS, L2_PENALTY = 200, 1e-5  # of the logistic regression from votes to labels


def _votes(dataset: Dataset) -> np.ndarray:
    """Return the number of votes for each of FER+'s answers, int64 (N, 10)."""
    votes = vote_counts(dataset.table("train"), dataset.info.folder)
    if votes is None:
        raise DataError(
            f"{dataset.info.folder}: has no votes; give runs, or pack it with --votes fer2013new.csv"
        )
    return votes


def vote_shares(dataset: Dataset, faces: Faces) -> np.ndarray:
    """Return each label's share of a face's votes, float64 (N, C); the face's own label where it has none."""
    labels, counts = dataset.info.labels, _votes(dataset)
    if other := not_asked(labels):
        raise DataError(f"{dataset.info.folder}: FER+'s annotators could not choose {', '.join(other)}")
    votes = class_votes(counts, labels).astype(np.float64)
    without = votes.sum(1) == 0
    votes[without] = np.eye(len(labels))[faces.labels[without]]
    return votes / votes.sum(1, keepdims=True)


def translated_votes(dataset: Dataset, faces: Faces) -> np.ndarray:
    """Return the probability of each label given a face's votes, float64 (N, C), by multinomial logistic regression.

    Its inputs are the votes' shares, their square roots and a bias; a weak L2 penalty keeps the weights finite where
    votes and labels agree without exception.
    """
    import torch

    votes = _votes(dataset)
    shares = torch.from_numpy(votes / np.maximum(votes.sum(1, keepdims=True), 1))
    inputs, labels = torch.cat([shares, shares.sqrt()], 1), torch.from_numpy(faces.labels)
    layer = torch.nn.Linear(inputs.shape[1], len(dataset.info.labels), dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    solver = torch.optim.LBFGS(layer.parameters(), max_iter=SOLVER_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(inputs), labels)
        loss = loss + L2_PENALTY * layer.weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        return layer(inputs).softmax(1).numpy()
