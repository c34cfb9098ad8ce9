"""Which processor runs the networks, and that its answers are the CPU's."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from refusals import raises_naming

from mien import Recognizer, devices
from mien.devices import available, choose
from mien.errors import DeviceError
from mien.faces import Finder
from mien.model import read_model
from mien.serve import Settings
from mien.serve.launch import _with_device

FACES = np.random.default_rng(1).integers(0, 256, (3, 48, 48), np.uint8)


@pytest.fixture
def other_device(monkeypatch):
    """Have onnxruntime know CUDA: the CPU with `error` added to all outputs. Returns that, and how many ran at once."""
    state = {"error": 0.0, "starts": True, "most": 0}
    running = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, graph, options, providers):
            self.cuda = providers != ["CPUExecutionProvider"]
            super().__init__(graph, options, providers=["CPUExecutionProvider"])

        def run(self, *args, **options):
            running.append(self)
            state["most"] = max(state["most"], len(running))
            outputs = super().run(*args, **options)
            running.pop()
            return [output + np.float32(state["error"]) for output in outputs] if self.cuda else outputs

        def get_providers(self):
            return [devices.PROVIDERS["cuda"]] if self.cuda and state["starts"] else super().get_providers()

    providers = [devices.PROVIDERS["cuda"], "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: providers)
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    return state


def test_a_device_that_onnxruntime_has_not_is_refused():
    """The line names the device, what there is, and the package that can; a word that is no device gets a hint."""
    missing = next(name for name in devices.PROVIDERS if name not in available())

    with raises_naming(DeviceError, missing, "cpu", devices.PACKAGES[missing]):
        Recognizer("pocket", device=missing)
    with raises_naming(DeviceError, "cdua", "cuda"):
        choose("cdua")


def test_every_device_that_is_installed_answers_as_the_cpu(astronaut):
    """Of each device that the installed onnxruntime has, boxes and probabilities are the CPU's within a hundredth."""
    expected = Recognizer("pocket").predict(astronaut, channels="rgb")

    for device in available():
        recognizer = Recognizer("pocket", device=device)
        (face,) = recognizer.predict(astronaut, channels="rgb")
        assert device == recognizer.device == recognizer.model.device
        np.testing.assert_allclose(face.box, expected[0].box, atol=0.5)
        np.testing.assert_allclose(
            list(face.probabilities.values()), list(expected[0].probabilities.values()), atol=0.01
        )


def test_auto_takes_a_gpu_whose_answers_are_right(other_device):
    """A device that answers as the CPU does is used by both networks, and by what is pickled."""
    recognizer = Recognizer("pocket", device="auto")

    assert ("cuda", "") == (recognizer.device, recognizer.device_note)
    assert "cuda" == pickle.loads(pickle.dumps(recognizer)).device
    assert "cuda" == pickle.loads(pickle.dumps(Finder(device="cuda"))).device
    assert "cuda" == Recognizer(read_model("pocket", device="cuda")).device
    assert "cpu" == Recognizer(read_model("pocket", device="cuda"), device="cpu").device


@pytest.mark.parametrize("fault", [{"error": 0.02}, {"error": float("nan")}, {"starts": False}])
def test_a_device_with_other_answers_is_not_used(other_device, fault):
    """One that is off the CPU, or that does not start, is refused where it was asked for; "auto" falls back."""
    other_device |= fault

    with raises_naming(DeviceError, "cuda"):
        Recognizer("pocket", device="cuda")
    with raises_naming(DeviceError, "cuda"):
        Finder(device="cuda").open()
    recognizer = Recognizer("pocket", device="auto")
    assert "cpu" == recognizer.device == _with_device(Settings("pocket", device="auto")).device
    assert "cuda" in recognizer.device_note
    np.testing.assert_array_equal(
        read_model("pocket").probabilities(FACES), recognizer.model.probabilities(FACES)
    )


def test_a_sessions_calls_wait_for_each_other_on_directml(other_device, monkeypatch):
    """DirectML's sessions run one call at a time: what comes meanwhile waits."""
    monkeypatch.setattr(devices, "PROVIDERS", devices.PROVIDERS | {"directml": devices.PROVIDERS["cuda"]})

    for device, at_once in (("cuda", range(2, 5)), ("directml", [1])):
        other_device["most"] = 0
        model = read_model("pocket", device=device)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(model.probabilities, [FACES.repeat(10, 0)] * 4))
        assert other_device["most"] in at_once
