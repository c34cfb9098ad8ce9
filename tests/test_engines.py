"""mien inside engines that others maintain: Ray and Dask. Each is skipped where it is not installed.

pip install 'mien[ray]' 'dask[dataframe]'; Ray needs a machine that starts its processes within 15 seconds.
"""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from test_predict_parts import parts_in, png, run

from mien.errors import StorageError
from mien.predict import BatchPredictor, Recognizer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings of the engines are not ours


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of a thousand small pictures, of which one is broken."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(1000):
        (folder / f"{number:05}.png").write_bytes(png(number % 50) if number != 500 else b"no picture")
    return folder


def test_ray_makes_the_parts_of_one_machine(many, toy_model, tmp_path):
    """Two actors, of which one is killed on the way, make the table that processes make, byte for byte."""
    pytest.importorskip("ray")
    recognizer, out = Recognizer(toy_model), tmp_path / "ray"
    counts = run(recognizer, many, tmp_path / "whole", part_pictures=50)
    ended = threading.Event()
    killer = threading.Thread(target=kill_an_actor, args=(out, ended))
    killer.start()
    try:
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


def test_a_cluster_that_is_not_there_is_one_line(many, toy_model, tmp_path):
    """An address at which no cluster answers is told."""
    pytest.importorskip("ray")
    with pytest.raises(StorageError):
        run(Recognizer(toy_model), many, tmp_path, ray="no address")


def test_the_batch_class_in_ray_data(many, toy_model, tmp_path):
    """As docs/large.md has it: each picture has its row, broken ones too."""
    data = pytest.importorskip("ray.data")
    import ray

    paths = [str(path) for path in sorted(many.iterdir())[480:520]]
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        pictures = data.read_binary_files(paths, include_paths=True)
        options = {"model": toy_model, "crop": True}
        faces = pictures.map_batches(
            BatchPredictor,
            fn_constructor_kwargs=options,
            batch_size=8,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=1),
        )
        faces.write_parquet(str(tmp_path / "faces"))
    finally:
        ray.shutdown()
    compare(tmp_path / "faces", paths, toy_model)


def test_the_batch_class_in_dask(many, toy_model, tmp_path):
    """The same in Dask's data frames."""
    dask = pytest.importorskip("dask.dataframe")
    paths = [str(path) for path in sorted(many.iterdir())[480:520]]
    frame = dask.from_pandas(pandas.DataFrame({"path": paths}), npartitions=3)
    meta = classify(pandas.DataFrame({"path": []}), str(toy_model))
    faces = frame.map_partitions(classify, str(toy_model), meta=meta)
    faces.to_parquet(str(tmp_path / "faces"), compute_kwargs={"scheduler": "synchronous"})
    compare(tmp_path / "faces", paths, toy_model)


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
