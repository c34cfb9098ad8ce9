"""A model over time in the page of `mien serve` and over HTTP, beside what Python says of the same pictures."""

import json

import numpy as np
import pytest
from clip_faces import clip_set
from serving import hosting, serving

pytest.importorskip("fastapi")

from test_serve_page import CLOSE, PATIENCE_MS, differ, encoded, expected, give, shown, text

from mien import Recognizer
from mien.export import export
from mien.networks.engine import choose_engine
from mien.recipe import read_recipe
from mien.serve import Settings
from mien.serve.static import write_static
from mien.train import train
from mien.video.footage import Frame
from mien.video.seen import Watcher

PAGE_SIDE = 320  # pixels of the frame's long side in the page's look at all of it
MOMENTS = (0.0, 0.1, 0.15, 0.25, 0.7, 1.9, 2.0, 2.1)  # a gap, after which everybody is somebody new
FOLLOW = """async ([frames, seconds]) => {
  const { Engine } = await import("./page/engine.js");
  const { modelOfServer } = await import("./page/remote.js");
  const engine = new Engine();
  await engine.start(await modelOfServer("v1/model.json"));
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const all = [];
  for (const [i, frame] of frames.entries()) {
    const bitmap = await createImageBitmap(new Blob([bytes(frame)]));
    all.push((await engine.follow(bitmap, seconds[i])).faces);
  }
  return all.map((faces) => faces.map(({ person, probabilities, chosen }) => ({ person, probabilities, chosen })));
}"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The file of a head over time that was trained on a few drawn clips."""
    folder = tmp_path_factory.mktemp("clips")
    recipe = read_recipe("clip", ("training.epochs=3", "training.batch_size=4", "network.width=8"))
    engine = choose_engine(device="cpu", precision="fp32", threads=1)
    data = clip_set(folder / "set").development()
    return export([train(recipe, data, folder / "run", engine=engine).folder], folder / "live.onnx").path


@pytest.fixture(scope="module")
def site(model, tmp_path_factory):
    """The page with it as plain files."""
    folder = tmp_path_factory.mktemp("pages") / "site"
    write_static(Settings(model=str(model)), folder)
    return folder


def frames_of_two(astronaut) -> list[np.ndarray]:
    """Frames in which two people change their light, one of whom is covered for a while."""
    pair = np.concatenate([astronaut[:300, 90:390], astronaut[:300, 90:390][:, ::-1]], 1)
    frames = [(pair * share).astype(np.uint8) for share in (1, 0.5, 0.9, 0.4, 0.8, 0.6, 1, 0.5)]
    for frame in frames[2:4]:
        frame[:, 300:] = 110
    return frames


def test_the_page_follows_people_with_a_model_over_time_as_python_does(browser, site, model, astronaut):
    """Each person has a memory of their own, which a gap ends; a photo begins a clip, also after that."""
    frames, photo = frames_of_two(astronaut), {"photo": encoded(astronaut[:300])}
    context = browser.new_context()
    page, complaints = context.new_page(), []
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    with hosting(site) as (url, _):
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        got = page.evaluate(FOLLOW, [[text(encoded(frame)) for frame in frames], MOMENTS])
        give(page, "drop", photo)
        of_photo = shown(page, "photo")
    context.close()
    recognizer = Recognizer(str(model), long_side=PAGE_SIDE)
    watcher = Watcher(recognizer)
    seen = [watcher.see(Frame(n, s, f)).faces for n, (f, s) in enumerate(zip(frames, MOMENTS, strict=True))]
    labels = [*recognizer.model.labels, "uncertain"]

    assert complaints == []
    assert [2, 2, 1, 1, 2, 2, 2, 2] == [len(faces) for faces in seen]
    for faces, there in zip(seen, got, strict=True):
        assert [face.person for face in faces] == [face["person"] for face in there]
        assert [face.label for face in faces] == [
            labels[-1 if face["chosen"] is None else face["chosen"]] for face in there
        ]
        rows = np.array([list(face.probabilities.values()) for face in faces])
        assert differ(rows, np.array([face["probabilities"] for face in there])) < CLOSE
    alone = np.array([list(face.raw.values()) for faces in seen for face in faces])
    smoothed = np.array([list(face.probabilities.values()) for faces in seen for face in faces])
    assert np.abs(alone - smoothed).max() > 2 * CLOSE  # what is remembered counts
    assert differ(of_photo, expected(Recognizer(str(model)), photo["photo"])) < CLOSE


def test_http_takes_each_picture_for_the_first_frame_of_a_clip(model, astronaut):
    """`POST /v1/predict` says what `mien predict` says, and `GET /v1/model` how much the model remembers."""
    picture = encoded(astronaut[:300])
    with serving("--model", str(model), OMP_NUM_THREADS="1") as server:
        answers = [server.ask("/v1/predict", "POST", picture, content_type="image/png") for _ in range(2)]
        about = server.ask("/v1/model").json()
    recognizer = Recognizer(str(model))
    (face,) = recognizer.predict(picture)
    rows = [json.loads(answer.body)["pictures"][0]["faces"][0]["probabilities"] for answer in answers]

    assert about["state_size"] == recognizer.model.state_size > 0
    assert rows[0] == rows[1]  # nothing is remembered of a request
    assert rows[0] == pytest.approx(face.probabilities, abs=1e-4)
