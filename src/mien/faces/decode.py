"""What CenterFace's outputs say: boxes, scores and landmarks. Pure numpy, knows nothing about pictures.

The network is Xu et al. 2020, "CenterFace: Joint Face Detection and Alignment Using Face as Point".
Each cell of its outputs stands for `STRIDE` x `STRIDE` pixels of its input.
"""

import numpy as np

STRIDE = 4
MOST_CANDIDATES = 1000  # cells by score that are looked at; a picture of a crowd has some hundreds


def decode(
    heat: np.ndarray, scale: np.ndarray, offset: np.ndarray, landmarks: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes (N, 4), scores (N,) and landmarks (N, 5, 2) of all cells whose heat is above a threshold.

    Takes float32 (1, h, w), (2, h, w), (2, h, w) and (10, h, w). What it gives is float64, in pixels of the
    network's input, best score first. A box is (left, top, width, height), a landmark (x, y).
    """
    rows, columns = np.nonzero(heat[0] > threshold)
    best = np.argsort(-heat[0, rows, columns], kind="stable")[:MOST_CANDIDATES]
    rows, columns = rows[best], columns[best]
    at = (slice(None), rows, columns)
    size = np.exp(scale[at][::-1].T.astype(np.float64)) * STRIDE  # (N, 2): width, height
    center = (np.stack([columns, rows], 1) + offset[at][::-1].T + 0.5) * STRIDE
    corner = center - size / 2
    points = landmarks[at].T.reshape(-1, 5, 2)[:, :, ::-1]  # (N, 5, 2): x, y as shares of the box
    return (
        np.concatenate([corner, size], 1),
        heat[0, rows, columns].astype(np.float64),
        points * size[:, None] + corner[:, None],
    )


def distinct(boxes: np.ndarray, most_overlap: float) -> np.ndarray:
    """Return the indices of the boxes (N, 4) that stay when each takes those it overlaps out, first ones first.

    This is greedy non-maximum suppression. Overlap is intersection over union, in 0..1.
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    areas = boxes[:, 2] * boxes[:, 3]
    left, kept = np.arange(len(boxes)), []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        sides = np.minimum(high[first], high[left]) - np.maximum(low[first], low[left])
        shared = np.prod(np.maximum(sides, 0), 1)
        left = left[shared <= most_overlap * (areas[first] + areas[left] - shared)]
    return np.array(kept, np.int64)
