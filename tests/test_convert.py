import sys

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet
from torch.utils.data import DataLoader, Dataset

from mien.dataset import read_dataset, writing_dataset
from mien.errors import DataError, MissingExtra


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    """A data set with votes, a number that is not always known, and a code."""
    folder = tmp_path_factory.mktemp("data") / "voted"
    rows = [("train", "3", "0.5", "007"), ("val", "4", "", "018"), ("test", "5", "1.5", "019")]
    with writing_dataset(folder, side=4, labels=("happy", "sad"), extra=("votes", "yaw", "code")) as writer:
        for number, (split, *extra) in enumerate(rows):
            writer.add(bytes([number] * 16), label="sad", split=split, source="x", extra=tuple(extra))
        writer.finish({"kind": "toy", "files": {}})
    return read_dataset(folder)


def test_a_pandas_frame_has_the_tables_columns_and_each_image(toy):
    """A row a face of train and val in the data set's order; images are uint8 (S, S)."""
    frame = read_dataset(toy).to_pandas()
    data = read_dataset(toy).development()

    assert [*data.train.ids, *data.val.ids] == list(frame["id"])
    assert {"train", "val"} == set(frame["split"])
    images = np.stack(frame["image"])
    assert np.uint8 == images.dtype
    assert np.array_equal(np.concatenate([data.train.images, data.val.images]), images)


def test_an_arrow_table_comes_back_from_parquet_with_its_images(toy, tmp_path):
    """The image column is a fixed-shape tensor, and stays one in a file."""
    table = read_dataset(toy).to_arrow("val")
    parquet.write_table(table, tmp_path / "val.parquet")
    again = parquet.read_table(tmp_path / "val.parquet")
    val = read_dataset(toy).development().val

    assert isinstance(again["image"].type, pyarrow.FixedShapeTensorType)
    assert np.array_equal(val.images, again["image"].combine_chunks().to_numpy_ndarray())
    assert list(val.ids) == again["id"].to_pylist()


def test_votes_are_numbers_and_codes_stay_text(voted):
    """Columns of a source: int64, float64 with nan for what is not known, text where a number would change it."""
    frame, table = voted.to_pandas(), voted.to_arrow()

    assert [3, 4] == frame["votes"].tolist() and np.int64 == frame["votes"].dtype
    assert 0.5 == frame["yaw"][0] and np.isnan(frame["yaw"][1])
    assert ["007", "018"] == frame["code"].tolist() == table["code"].to_pylist()
    assert ["0", "1"] == frame["id"].tolist() == table["id"].to_pylist()
    assert pyarrow.int64() == table["votes"].type and pyarrow.float64() == table["yaw"].type


def test_a_torch_dataset_feeds_a_loader(toy):
    """Items are (uint8 (1, S, S), int64 ()), in the data set's order."""
    dataset = read_dataset(toy).as_torch("train")
    images, labels = next(iter(DataLoader(dataset, batch_size=8)))
    train = read_dataset(toy).development().train

    assert isinstance(dataset, Dataset) and len(train) == len(dataset)
    assert ((8, 1, 16, 16), torch.uint8, torch.int64) == (images.shape, images.dtype, labels.dtype)
    assert np.array_equal(train.images[:8], images[:, 0].numpy())
    assert np.array_equal(train.labels[:8], labels.numpy())


def test_the_test_split_is_converted_only_once_it_was_opened(voted):
    """No name gives it; the faces that open_test returns do. Faces of another data set are refused."""
    for convert in (voted.as_torch, voted.to_pandas, voted.to_arrow):
        for name in ("test", "trian"):
            with pytest.raises(DataError):
                convert(name)
    test = voted.open_test()

    assert [5] == voted.to_pandas(test)["votes"].tolist()
    assert 1 == len(voted.as_torch(test)) and 1 == voted.to_arrow(test).num_rows


def test_a_library_that_is_not_installed_is_named(voted, monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        voted.to_pandas()
