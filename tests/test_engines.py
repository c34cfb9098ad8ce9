"""mien inside engines that others maintain: Ray and Dask, and its tables in DuckDB and pandas.

Ray gives its own processes 15 seconds to start; on a machine that is too busy for that its tests are skipped.
"""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from test_predict_parts import parts_in, png, run

from mien.errors import StorageError
from mien.predict import BatchPredictor, Recognizer
from mien.predict.parts import predict_parts

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of the engines are not ours
RAYLET_ERRORS = Path("/tmp/ray/session_latest/logs/raylet.err")
PAGE = Path(__file__).parent.parent / "docs" / "large.md"


def pictures(folder: Path, count: int) -> Path:
    """Write small pictures, of which the middle one is broken."""
    for number in range(count):
        (folder / f"{number:05}.png").write_bytes(png(number % 50) if number != count // 2 else b"no picture")
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of a thousand small pictures."""
    return pictures(tmp_path_factory.mktemp("many"), 1000)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A folder of forty small pictures."""
    return pictures(tmp_path_factory.mktemp("few"), 40)


@contextmanager
def ray_in_time() -> Iterator[None]:
    """Skip the test where Ray's node ended because its processes did not start in Ray's 15 seconds."""
    before = RAYLET_ERRORS.resolve()
    try:
        yield
    except Exception:
        late = RAYLET_ERRORS.resolve() != before and RAYLET_ERRORS.exists()
        if late and "Timed out waiting for file" in RAYLET_ERRORS.read_text():
            pytest.skip("Ray's node did not start in its 15 seconds")
        raise


@pytest.mark.slow
def test_ray_makes_the_parts_of_one_machine(many, toy_model, tmp_path):
    """Two actors, of which one is killed on the way, make the table that processes make, byte for byte."""
    recognizer, out = Recognizer(toy_model), tmp_path / "ray"
    counts = run(recognizer, many, tmp_path / "whole", part_pictures=50)
    ended = threading.Event()
    killer = threading.Thread(target=kill_an_actor, args=(out, ended))
    killer.start()
    try:
        with ray_in_time():
            assert counts == run(recognizer, many, out, part_pictures=50, ray="local", workers=2)
    finally:
        ended.set()
        killer.join()
    assert parts_in(tmp_path / "whole") == parts_in(out)


def kill_an_actor(out: Path, ended: threading.Event) -> None:
    """Kill one of Ray's actors, once two parts are made."""
    while not ended.wait(0.01) and len(list(out.glob("part-*"))) < 2:
        pass
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        line = place.read_bytes()
        if line.startswith(b"ray::") and b"PartActor" in line:
            os.kill(int(place.parent.name), signal.SIGKILL)
            return


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line(few, toy_model, tmp_path):
    """An address at which no cluster answers is told."""
    with pytest.raises(StorageError):
        run(Recognizer(toy_model), few, tmp_path, ray="no address")


@pytest.mark.slow
def test_the_batch_class_in_ray_data(few, toy_model, tmp_path):
    """As docs/large.md has it: each picture has its row, broken ones too."""
    import ray
    import ray.data

    paths = [str(path) for path in sorted(few.iterdir())]
    with ray_in_time():
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        files = ray.data.read_binary_files(paths, include_paths=True)
        options = {"model": toy_model, "crop": True}
        faces = files.map_batches(
            BatchPredictor,
            fn_constructor_kwargs=options,
            batch_size=8,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=1),
        )
        faces.write_parquet(str(tmp_path / "faces"))
    finally:
        ray.shutdown()
    compare(tmp_path / "faces", paths, toy_model)


def test_the_batch_class_in_dask(few, toy_model, tmp_path):
    """The same in Dask's data frames."""
    from dask import dataframe

    paths = [str(path) for path in sorted(few.iterdir())]
    frame = dataframe.from_pandas(pandas.DataFrame({"path": paths}), npartitions=3)
    meta = classify(pandas.DataFrame({"path": []}), str(toy_model))
    faces = frame.map_partitions(classify, str(toy_model), meta=meta)
    faces.to_parquet(str(tmp_path / "faces"), compute_kwargs={"scheduler": "synchronous"})
    compare(tmp_path / "faces", paths, toy_model)


def test_the_pages_queries_are_answered(few, toy_model, tmp_path, monkeypatch, capsys):
    """DuckDB and pandas read a table in parts as docs/large.md has it."""
    recognizer = Recognizer(toy_model)
    predict_parts(recognizer, [few], tmp_path / "faces", crop=True, workers=1)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(import (?:duckdb|pandas)\n.*?)^```$", PAGE.read_text(), re.M | re.S)
    for block in blocks:
        capsys.readouterr()
        exec(compile(block, "docs/large.md", "exec"), {})
        printed = capsys.readouterr().out
        assert any(label in printed for label in ("uncertain", *recognizer.model.labels))

    assert 2 == len(blocks)


def classify(frame: pandas.DataFrame, model: str) -> pandas.DataFrame:
    """Return the faces of one of Dask's partitions."""
    return BatchPredictor(model, crop=True)(frame).to_pandas()


def compare(folder: Path, paths: list[str], model: Path) -> None:
    """Check that a folder of parquet files holds what `Recognizer.table` gives."""
    rows = pyarrow.parquet.read_table(folder).to_pandas().sort_values("picture", ignore_index=True)
    expected = pandas.DataFrame(Recognizer(model).table(paths, crop=True))

    assert expected["picture"].tolist() == rows["picture"].tolist()
    assert expected["label"].fillna("").tolist() == rows["label"].fillna("").tolist()
    assert expected["problem"].fillna("").tolist() == rows["problem"].fillna("").tolist()
    np.testing.assert_allclose(expected["confidence"], rows["confidence"], atol=1e-5)
