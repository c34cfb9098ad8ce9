"""Answers as columns: `Recognizer.table`, the batch class for engines, the shapes of other packages."""

import base64
import json
import pickle

import numpy as np
import pandas
import pyarrow
import pytest
from PIL import Image
from refusals import raises_naming

from mien.errors import DataError
from mien.predict import BatchPredictor, Recognizer, predict
from mien.predict.adapters import as_deepface, as_fer


@pytest.fixture(scope="module")
def recognizer(toy_model):
    """A recognizer with the toy model."""
    return Recognizer(toy_model)


@pytest.fixture(scope="module")
def photos(astronaut, tmp_path_factory):
    """Paths of a photo with a face, one without and one that is broken."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / name for name in ("a.png", "b.png", "c.png")]
    Image.fromarray(astronaut).save(paths[0])
    Image.new("RGB", (99, 99)).save(paths[1])
    paths[2].write_bytes(b"no picture")
    return paths


@pytest.fixture(scope="module")
def table(recognizer, photos):
    """The columns of the three."""
    return recognizer.table(photos)


def test_a_table_has_a_row_a_face_and_one_for_a_picture_without(table, photos, recognizer):
    """Every picture has a row, the broken one with its problem, and numbers are those of `predict`."""
    (face,) = recognizer.predict(photos[0])

    assert [str(path) for path in photos] == table["picture"].tolist()
    assert [1, 0, 0] == table["face"].tolist()
    assert [face.label, None, None] == table["label"].tolist()
    assert np.allclose(table["p_happy"][0], face.probabilities["happy"])
    assert np.isnan(table["p_happy"][1:]).all()
    assert table["problem"][0] is None
    assert "no face found" == table["problem"][1]
    assert table["problem"][2].startswith("not a picture")


def test_a_table_has_the_columns_and_values_of_the_csv(table, photos, toy_model, tmp_path):
    """`--csv` and `table` say the same of the same pictures, but that CSV rounds."""
    predict(photos, model=toy_model, csv=tmp_path / "o.csv")
    csv = pandas.read_csv(tmp_path / "o.csv")
    ours = table.to_pandas()

    assert list(csv.columns) == list(ours.columns)
    numbers = csv.select_dtypes("number").columns
    np.testing.assert_allclose(csv[numbers], ours[numbers], atol=0.006)
    assert csv["picture"].tolist() == ours["picture"].tolist()


def test_arrow_has_nulls_and_one_schema_whatever_is_in_the_table(table, recognizer):
    """What a row has not is null, and a table of no picture has the same schema."""
    arrow, empty = table.to_arrow(), recognizer.table([]).to_arrow()

    assert arrow.schema == empty.schema
    assert (3, 0) == (arrow.num_rows, empty.num_rows)
    assert [False, True, True] == [value is None for value in arrow["confidence"].to_pylist()]
    assert [True, False, False] == [value is None for value in arrow["problem"].to_pylist()]


def test_images_without_a_path_go_by_their_place(recognizer, photos):
    """Bytes, base64 and arrays are named by their place, a path by itself; the picture is not repeated."""
    data = photos[1].read_bytes()
    images = [data, photos[1], base64.b64encode(data).decode(), np.zeros((50, 50), np.uint8)]

    assert ["0", str(photos[1]), "2", "3"] == recognizer.table(images)["picture"].tolist()
    with pytest.raises(TypeError):
        recognizer.table(photos[0])


def test_a_face_as_a_dict_is_what_json_says(recognizer, photos, toy_model, tmp_path):
    """`to_dict` is a face of `--json`, and plain."""
    predict(photos[:1], model=toy_model, json=tmp_path / "o.jsonl")
    (face,) = recognizer.predict(photos[0])
    (crop,) = recognizer.predict(photos[0], crop=True)

    assert json.loads((tmp_path / "o.jsonl").read_text())["faces"] == [face.to_dict()]
    assert json.loads(json.dumps(crop.to_dict(), allow_nan=False))["landmarks"] is None


def test_the_shapes_of_other_packages(recognizer, photos):
    """Of deepface the dict is in percent with the person's left eye on the right; fer's is in shares."""
    faces = recognizer.predict(photos[0])
    (deepface,), (fer,) = as_deepface(faces), as_fer(faces)
    region = deepface["region"]

    assert abs(sum(deepface["emotion"].values()) - 100) < 1e-3
    assert faces[0].best == deepface["dominant_emotion"] == max(fer["emotions"], key=fer["emotions"].get)
    assert region["left_eye"][0] > region["right_eye"][0]
    assert [region[side] for side in "xywh"] == fer["box"]
    assert as_deepface(recognizer.predict(photos[0], crop=True))[0]["region"]["left_eye"] is None


def test_a_batch_has_the_rows_of_the_table(toy_model, photos, table):
    """The batch class gives the same of bytes and paths, in Arrow too, and after it was pickled."""
    batch = {"path": [str(path) for path in photos], "bytes": [path.read_bytes() for path in photos]}
    predictor = pickle.loads(pickle.dumps(BatchPredictor(toy_model)))
    expected = table.to_arrow()

    assert expected == predictor(batch).to_arrow()
    assert expected == predictor({"path": batch["path"]}).to_arrow()
    assert expected == predictor.arrow(pyarrow.table(batch))
    assert expected.schema == predictor.schema


def test_a_batch_carries_columns_and_takes_any_form(toy_model, astronaut, photos):
    """Kept columns are repeated for each face; arrays, structs and what is no image have their rows."""
    two = np.concatenate([astronaut, astronaut], axis=1)
    images = [two, {"bytes": photos[1].read_bytes(), "path": None}, None, 1.5]
    predictor = BatchPredictor(toy_model, name="key", keep=["year"])
    rows = predictor({"image": images, "key": [7, 8, 9, 10], "year": np.arange(4)})

    assert ["7", "7", "8", "9", "10"] == rows["picture"].tolist()
    assert [0, 0, 1, 2, 3] == rows["year"].tolist()
    assert [1, 2, 0, 0, 0] == rows["face"].tolist()
    with raises_naming(DataError, "key"):
        predictor({"image": images})
    with raises_naming(DataError, "label"):
        BatchPredictor(toy_model, keep=["label"])


def test_an_arrow_batch_keeps_the_kinds_of_its_columns(toy_model, photos):
    """A kept column has the type that it had, nulls included."""
    batch = pyarrow.record_batch(
        {"path": [str(photos[0]), str(photos[1])], "year": pyarrow.array([None, 7], pyarrow.int16())}
    )
    table = BatchPredictor(toy_model, keep=["year"]).arrow(batch)

    assert pyarrow.int16() == table.schema.field("year").type
    assert [None, 7] == table["year"].to_pylist()
