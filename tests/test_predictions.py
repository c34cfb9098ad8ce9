import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refusals import raises_naming

from mien.errors import DataError, MienError
from mien.labels import LABELS
from mien.pack.naming import Naming
from mien.predictions import Predictions, read_predictions, write_predictions


def some_predictions(probs: np.ndarray) -> Predictions:
    """Return predictions with these probabilities and arbitrary labels."""
    count, classes = probs.shape
    return Predictions(
        classes=LABELS[:classes],
        ids=np.array([f"face {n}" for n in range(count)]),
        labels=np.arange(count) % classes,
        splits=np.full(count, "test"),
        probs=probs,
        groups=np.array([str(n // 2) for n in range(count)]),
        clean=np.arange(count) % 3 > 0,
    )


@settings(max_examples=50, deadline=None)  # each is synced to the disk
@given(arrays(float, st.tuples(st.integers(1, 20), st.integers(2, 7)), elements=st.floats(0.001, 1)))
def test_a_table_comes_back_as_it_was_written(tmp_path_factory, weights):
    """Every column survives the file; probabilities to 8 digits."""
    told = some_predictions(weights / weights.sum(1, keepdims=True))
    path = tmp_path_factory.mktemp("predictions") / "p.csv"
    write_predictions(path, told)
    read = read_predictions(path)

    for part in ("ids", "labels", "splits", "groups", "clean"):
        assert getattr(told, part).tolist() == getattr(read, part).tolist()
    assert told.classes == read.classes
    assert np.allclose(told.probs, read.probs, rtol=1e-7, atol=1e-9)


HEAD = "id,label,split,happy,sad\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (HEAD, "a header and no row"),
        ("id,lable,split,happy,sad\n1,sad,test,0,1\n", 'no column "label"; did you mean "lable"'),
        ("id,label,split,happy,happy\n1,happy,test,0,1\n", 'column "happy" stands twice'),
        ("id,label,split,happy\n1,happy,test,1\n", "at least two columns of class probabilities"),
        (HEAD + "1,sad,test,0\n", "row 2: 4 fields, the header has 5"),
        (HEAD + "1,sad,test,0,1\n1,sad,test,0,1\n", 'row 3: id "1" stands in row 2 too'),
        (HEAD + "1,4,test,0,1\n", 'row 2: label "4" has no column .* class names, not numbers'),
        (HEAD + "1,hapy,test,0,1\n", 'label "hapy" has no column .*did you mean "happy"'),
        (HEAD + "1,sad,test,0,x\n", 'row 2: column "sad" has no probability but "x" .*--data'),
        (HEAD + "1,sad,test,,1\n", 'row 2: column "happy" has no probability but ""'),
        (HEAD + "1,sad,test,0,nan\n", "row 2: probabilities must be between 0 and 1"),
        (HEAD + "1,sad,test,-3.1,4.1\n", "row 2: probabilities must be between 0 and 1"),
        (HEAD + "1,sad,test,0.4,0.4\n", "row 2: the probabilities sum to 0.8, not 1"),
        (
            HEAD + "1,sad,test,0.4,0.58\n",
            "row 2: the probabilities sum to 0.98, not 1 .* two decimals at least",
        ),
        (HEAD.replace(",", ";"), "columns stand between semicolons; a table of predictions has commas"),
        (HEAD.replace(",", "\t") + "1\tsad\ttest\t0\t1\n", "columns stand between tabs"),
        ("ID,Label,Split,happy,sad\n1,sad,test,0,1\n", 'no column "id"; did you mean "ID"'),
        (HEAD + "1,happiness,test,0,1\n", 'label "happiness" has no column .*did you mean "happy"'),
        ("id,label,split,happy,sad,clean\n1,sad,test,0,1,yes\n", 'row 2: column "clean" takes 0 or 1'),
        (HEAD + f"{'1' * 1001},sad,test,0,1\n", "row 2: a field of more than 1,000 letters"),
        (HEAD + "\n1,sad,test,0,1\n", "row 2: 0 fields, the header has 5"),
    ],
)
def test_a_bad_table_is_told_with_its_row(tmp_path, text, message):
    """Each fault of somebody's table gets one line that names file and row."""
    path = tmp_path / "theirs.csv"
    path.write_text(text)

    with pytest.raises(DataError, match=f"theirs.csv.*{message}"):
        read_predictions(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_an_error_of_ours(tmp_path_factory, content):
    """No file, however wild, brings anything but predictions or a DataError."""
    path = tmp_path_factory.mktemp("wild") / "p.csv"
    path.write_bytes(content)
    try:
        told = read_predictions(path)
    except MienError as error:
        assert str(path) in str(error)
    else:
        assert np.allclose(1, told.probs.sum(1))


def test_probabilities_with_two_decimals_are_read(tmp_path):
    """Seven shares rounded to two decimals sum to 1.03 at most, and are scaled to 1."""
    path = tmp_path / "rounded.csv"
    path.write_text(f"id,label,split,{','.join(LABELS)}\n1,sad,test,.15,.15,.15,.15,.15,.14,.14\n")

    assert [15 / 103] * 5 + [14 / 103] * 2 == pytest.approx(read_predictions(path).probs[0].tolist())


def test_extra_spaces_and_a_byte_order_mark_do_no_harm(tmp_path):
    """A table saved by a spreadsheet is read all the same."""
    path = tmp_path / "sheet.csv"
    rows = "1,sad, test,0.25,0.75,True\r\n2, sad,test ,0.25,0.75,0.0\r\n\r\n"
    path.write_bytes(f"\ufeffid, label,split,happy,sad,clean\r\n{rows}".encode())
    told = read_predictions(path)

    assert [1, 1] == told.labels.tolist()
    assert ["test"] == told.split_names
    assert [True, False] == told.clean.tolist()


@pytest.mark.parametrize("name", ["id", "label", "split", "group", "clean"])
def test_a_class_may_not_go_by_another_columns_name(tmp_path, name):
    """Such a table could not be read back, so packing, and writing one, refuse the class."""
    probs = np.array([[0.25, 0.75]])
    told = some_predictions(probs)
    with pytest.raises(DataError, match=f'"{name}" is a column of every table'):
        write_predictions(tmp_path / "p.csv", replace(told, classes=(name, "other")))
    with pytest.raises(DataError, match=f'"{name}" is a column of every table'):
        Naming([name, "other"])
    assert [] == list(tmp_path.iterdir())


def test_a_table_that_was_changed_is_told_and_anybodys_has_no_checksum(tmp_path):
    """A table of mien's is held against the checksum beside it; without one it is read as everybody's is."""
    path = tmp_path / "p.csv"
    write_predictions(path, some_predictions(np.full((3, 2), 0.5)))
    path.write_text(path.read_text().replace("0.5,0.5", "0.4,0.6", 1))
    with raises_naming(DataError, "p.csv"):
        read_predictions(path)
    (tmp_path / "p.csv.sha256").unlink()

    assert [0.4, 0.6] == read_predictions(path).probs[0].tolist()


def test_sha256sum_checks_a_table(tmp_path):
    """The checksum is in the common form."""
    write_predictions(tmp_path / "p.csv", some_predictions(np.full((3, 2), 0.5)))

    subprocess.run(["sha256sum", "--check", "--quiet", "p.csv.sha256"], cwd=tmp_path, check=True)
