"""Faces in the shapes that deepface and fer answer with, for code that was written for them. Imports neither.

Their numbers come from mien's model; both know the seven classes of FER2013, as mien's models do.
"""

from collections.abc import Iterable
from typing import Any

from mien.predict.recognizer import FaceExpression


def as_deepface(faces: Iterable[FaceExpression]) -> list[dict[str, Any]]:
    """Return what `DeepFace.analyze(image, actions=["emotion"])` of deepface 0.0.9x gives: a dict a face.

    `emotion` is in percent by class, `region` in whole pixels, with the eyes left and right as the person has them.
    Where deepface finds no face it raises an error, or takes the whole picture for one; here the list is empty.
    """
    return [
        {
            "emotion": {label: 100 * share for label, share in face.probabilities.items()},
            "dominant_emotion": face.best,
            "region": _region(face),
            "face_confidence": face.score,
        }
        for face in faces
    ]


def as_fer(faces: Iterable[FaceExpression]) -> list[dict[str, Any]]:
    """Return what `FER().detect_emotions(image)` of fer 22 and later gives: a dict a face, shares 0..1."""
    return [
        {
            "box": [round(value) for value in face.box],
            "emotions": {label: round(share, 2) for label, share in face.probabilities.items()},
        }
        for face in faces
    ]


def _region(face: FaceExpression) -> dict[str, Any]:
    x, y, width, height = (round(value) for value in face.box)
    eyes = [None, None]
    if face.score == face.score:  # nan where the picture was taken for a face, which has no landmarks
        eyes = [(round(across), round(down)) for across, down in face.landmarks[:2].tolist()]
    return {"x": x, "y": y, "w": width, "h": height, "left_eye": eyes[1], "right_eye": eyes[0]}
