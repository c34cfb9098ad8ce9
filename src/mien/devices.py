"""Which processor runs a network: onnxruntime's execution providers by the names of devices. Knows no network.

What runs on another device than the CPU is believed where it gives what the CPU gives: both run the same inputs once,
when the network is loaded. Weights stay float32; a provider that prefers float16 (Core ML on its neural engine) may use
it within that bound.
"""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mien.errors import DeviceError
from mien.labels import did_you_mean

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Device = Literal["auto", "cpu", "cuda", "coreml", "directml", "openvino"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda", "coreml", "directml", "openvino")
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
# Pictures come in many sizes: a search for the fastest convolution in each would take longer than it saves. Products in
# 19 bits (TF32) are off by more than float32 is.
OPTIONS = {
    "cuda": {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
    "coreml": {"ModelFormat": "MLProgram"},
}
PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "coreml": "onnxruntime on macOS",
    "directml": "onnxruntime-directml",
    "openvino": "onnxruntime-openvino",
}
AUTOMATIC = ("cuda", "directml")  # in this order; the others are not always faster than the CPU
MOST_APART = 0.005  # of any output, and as a share of it


def available() -> list[str]:
    """Return the devices that the installed onnxruntime can use."""
    import onnxruntime

    installed = onnxruntime.get_available_providers()
    return [device for device, provider in PROVIDERS.items() if provider in installed]


def choose(device: str) -> str:
    """Return the device that is meant; "auto" is a GPU where the installed onnxruntime can use one, else the CPU.

    Raises DeviceError for one that the installed onnxruntime cannot use, and for none at all.
    """
    if device == "cpu":
        return device
    if device not in DEVICES:
        raise DeviceError(
            f'no device "{device}", known are {", ".join(DEVICES)}{did_you_mean(device, DEVICES)}'
        )
    there = available()
    if device == "auto":
        return next((one for one in AUTOMATIC if one in there), "cpu")
    if device not in there:
        raise DeviceError(
            f"device {device}: the installed onnxruntime cannot use it, but {', '.join(there)}; {PACKAGES[device]} "
            f"can, installed in place of onnxruntime"
        )
    return device


def open_session(
    graph: bytes | str, device: str, options: Any, probe: Mapping[str, np.ndarray]
) -> "InferenceSession":
    """Return an onnxruntime session of a graph, its bytes or its path, on a device as `choose` returns it.

    `options` are onnxruntime's SessionOptions.

    Raises DeviceError where the device cannot be used, or gives for the inputs `probe` what is off the CPU's outputs by
    more than MOST_APART; what onnxruntime raises for a graph that is none.
    """
    import onnxruntime

    on_cpu = onnxruntime.InferenceSession(graph, options, providers=[PROVIDERS["cpu"]])
    if device == "cpu":
        return on_cpu
    names = [output.name for output in on_cpu.get_outputs()]
    expected = on_cpu.run(names, dict(probe))
    own = OPTIONS.get(device, {})
    if device == "openvino":
        own = {"device_type": "CPU", "num_of_threads": str(options.intra_op_num_threads or 1)}
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[(PROVIDERS[device], own)])
        outputs = session.run(names, dict(probe))
    except Exception as fault:  # onnxruntime's own errors have no common class but this
        raise DeviceError(f"device {device}: onnxruntime fails there ({_first_line(fault)})") from None
    if session.get_providers()[0] != PROVIDERS[device]:
        raise DeviceError(
            f"device {device}: onnxruntime could not start it; are its driver and libraries there?"
        )
    for name, output, right in zip(names, outputs, expected, strict=True):
        _check(device, name, np.asarray(output), np.asarray(right))
    if device == "directml":  # its sessions run one call at a time
        _one_at_a_time(session)
    return session


def _check(device: str, name: str, output: np.ndarray, right: np.ndarray) -> None:
    """Raise DeviceError where an output is off the CPU's."""
    if output.shape == right.shape and np.allclose(output, right, rtol=MOST_APART, atol=MOST_APART):
        return
    apart = np.abs(output - right).max() if output.shape == right.shape else np.nan
    raise DeviceError(
        f'device {device}: its output "{name}" is off the CPU\'s by {apart:.2g}, where {MOST_APART:g} are allowed'
    )


def _one_at_a_time(session: "InferenceSession") -> None:
    lock, run = threading.Lock(), session.run

    def locked_run(*args, **options):
        with lock:
            return run(*args, **options)

    session.run = locked_run


def _first_line(fault: Exception) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0]
