import math
from copy import deepcopy

import pytest
import torch
from refusals import raises_naming
from test_train import toy_recipe
from torch import nn

from mien.errors import RecipeError
from mien.evaluate import evaluate
from mien.judge import accuracy, log_loss
from mien.networks import as_input, build
from mien.networks.densenet import DropPath, Squeeze
from mien.networks.engine import Engine, probabilities, tta_views
from mien.recipe import read_recipe
from mien.train import step, train
from mien.train.schedule import ema_decay_at, side_at
from mien.train.step import ema_update, sam_ascent

PLAIN = Engine("cpu", "fp32", "channels-first", 1)


def small(*overrides: str) -> nn.Module:
    """Return a small dense network with changed fields, the same at each call."""
    torch.manual_seed(0)
    return build(toy_recipe("quick-densenet", *overrides).network, side=16, classes=7)


def faces(count: int = 4) -> torch.Tensor:
    """Return random faces as a network's input."""
    return as_input(torch.randint(0, 256, (count, 16, 16), generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("keep", ["last", "best"])
def test_the_average_of_weights_is_what_is_kept(toy_data, tmp_path, keep):
    """With ema val is read with other weights than without, and those of the kept epoch are what is saved."""
    options = ("training.epochs=3", "training.precision=fp32", "tta.flip=false")
    plain, averaged = (
        train(
            toy_recipe(
                "quick-densenet", *options, f"optimizer.ema_decay={ema}", f"training.checkpoint={keep}"
            ),
            toy_data,
            tmp_path / ema,
        )
        for ema in ("0", "0.9")
    )
    told = evaluate(averaged.folder)
    found = {
        name: score(told.labels, told.probs)
        for name, score in (("accuracy", accuracy), ("log_loss", log_loss))
    }

    assert plain.metrics()[-1]["train_loss"] == averaged.metrics()[-1]["train_loss"]
    assert plain.metrics()[-1]["val_loss"] != averaged.metrics()[-1]["val_loss"]
    assert averaged.result()["val"] == pytest.approx(found, rel=1e-5)


def test_the_average_follows_weights_and_running_statistics():
    """After one step of decay .75 each number has gone a quarter of the way; counters are copied."""
    network, average = small(), small()
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(4)
    before = deepcopy(average.state_dict())
    ema_update(average, network, 0.75)
    for name, value in average.state_dict().items():
        moved = 1 if value.is_floating_point() else 4

        assert torch.allclose(before[name] + moved, value), name


def test_the_average_forgets_the_fresh_weights():
    """Whatever the decay, after 100 steps under a thousandth of the fresh weights is left; later the decay holds."""
    left = math.prod(ema_decay_at(0.9999, step) for step in range(100))

    assert left < 0.001
    assert 0.99 == ema_decay_at(0.99, 2_000)


def test_uphill_the_loss_is_higher_and_all_comes_back():
    """Within, the weights stand a step of the given length up the slope; after it they are the old ones."""
    network, x, target = small(), faces(), torch.tensor([0, 1, 2, 3])
    loss = nn.functional.cross_entropy(network(x), target)
    loss.backward()
    before = deepcopy(network.state_dict())
    weights = [p.detach().clone() for p in network.parameters()]
    with sam_ascent(network, 0.05):
        far = nn.functional.cross_entropy(network(x), target).item()
        moved = sum((p - w).square().sum() for p, w in zip(network.parameters(), weights, strict=True))

    assert torch.isclose(torch.tensor(0.05), moved.sqrt().detach())
    assert far > loss.item()
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(before[name], value), name
    assert all(m.momentum == 0.1 for m in network.modules() if isinstance(m, nn.BatchNorm2d))


def test_sharpness_aware_steps_are_other_steps(toy_data, tmp_path):
    """With a radius training takes another way, to weights as finite as ever."""
    plain, aware = (
        train(
            toy_recipe("quick-densenet", "training.epochs=2", f"optimizer.sam_rho={rho}"),
            toy_data,
            tmp_path / rho,
        )
        for rho in ("0", "0.1")
    )

    assert plain.metrics()[0]["train_loss"] != aware.metrics()[0]["train_loss"]


def test_squeeze_and_excitation_weighs_whole_channels():
    """Each channel comes back times one number between 0 and 1, that depends on the face."""
    torch.manual_seed(1)
    block, x = Squeeze(6, 3), torch.rand(5, 6, 4, 4) * torch.rand(5, 6, 1, 1) * 9 + 0.1
    weights = block(x) / x

    assert torch.allclose(weights.amax((2, 3)), weights.amin((2, 3)))
    assert ((weights > 0) & (weights < 1)).all()
    assert weights[:, 0].amax((1, 2)).unique().numel() == 5


def test_squeezing_costs_its_parameters():
    """A layer of growth 8 with 4 hidden units has 8 * 4 + 4 + 4 * 8 + 8 parameters more."""
    count = [
        sum(p.numel() for p in small(option).parameters()) for option in ("name=a", "network.se_ratio=0.5")
    ]

    assert count[1] - count[0] == 2 * (8 * 4 + 4 + 4 * 8 + 8)


def test_drop_path_keeps_the_mean():
    """A share of many faces is dropped whole, and the mean over faces stays."""
    torch.manual_seed(0)
    dropped = DropPath(0.25)(torch.ones(4000, 2, 1, 1))

    assert {0.0, round(1 / 0.75, 4)} == {round(v, 4) for v in dropped.unique().tolist()}
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    assert abs(dropped.mean() - 1) < 0.03


def test_depth_is_stochastic_in_training_alone():
    """In training the answers vary, the first layer is never dropped; reading a face, all layers count."""
    network = small("network.drop_path=0.9")
    layers = [layer for block in network.blocks for layer in block]
    first, second = network(faces(32)), network(faces(32))
    network.eval()

    assert [0.0, 0.9] == [layer.drop_path.p for layer in layers]
    assert not torch.equal(first, second)
    assert torch.equal(network(faces()), network(faces()))


def test_the_side_grows_to_the_whole_face():
    """From 24 pixels it grows in steps of four to 48 at three quarters of the epochs, and stays."""
    recipe = read_recipe("quick-densenet", ("training.epochs=40", "training.progressive_resizing=24"))
    sides = [side_at(recipe, epoch, 48) for epoch in range(40)]

    assert sides == sorted(sides)
    assert {24, 28, 32, 36, 40, 44, 48} == set(sides)
    assert sides.index(48) == 30 or sides[29] == 48
    assert [48] * 40 == [side_at(read_recipe("quick-densenet"), epoch, 48) for epoch in range(40)]
    assert 16 == side_at(recipe, 0, 16)
    for epochs in range(1, 6):
        short = read_recipe(
            "quick-densenet", (f"training.epochs={epochs}", "training.progressive_resizing=24")
        )
        assert 48 == side_at(short, epochs - 1, 48), "val is read whole"
    assert max(side_at(recipe, epoch, 47) for epoch in range(40)) == 47
    assert 4 == side_at(read_recipe("quick-densenet", ("training.progressive_resizing=1",)), 0, 48)


def test_faces_too_small_for_the_network_are_refused(toy_data, tmp_path):
    """What grows from fewer pixels than the network can read is one line, and no folder is made."""
    with raises_naming(RecipeError, "training.progressive_resizing", "4 pixels"):
        train(
            toy_recipe(
                "quick-densenet",
                "network.layers=1,1,1,1",
                "network.growth_rate=4,4,4,4",
                "training.progressive_resizing=1",
            ),
            toy_data,
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_a_network_learns_on_faces_that_grow(toy_data, tmp_path, monkeypatch):
    """Progressive resizing trains to the end, each step on faces of its epoch's side."""
    sides = []

    def seen(images, take=step.as_input):
        sides.append(images.shape[-1])
        return take(images)

    monkeypatch.setattr(step, "as_input", seen)
    recipe = toy_recipe("quick-densenet", "training.epochs=4", "training.progressive_resizing=12")
    run = train(recipe, toy_data, tmp_path / "run")
    steps = len(sides) // 4

    assert run.complete
    assert {12, 16} == set(sides)
    assert [side_at(recipe, epoch, 16) for epoch in range(4) for _ in range(steps)] == sides


@pytest.mark.parametrize(
    ("flip", "shift", "count"), [(False, 0, 1), (True, 0, 2), (False, 2, 5), (True, 2, 10)]
)
def test_a_face_is_read_in_all_its_views(flip, shift, count):
    """Itself, moved to four corners, and all mirrored: ten views, whose probabilities are averaged."""
    images = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    network = small().eval()
    seen = tta_views(images, flip, shift)
    wanted = torch.stack([network(as_input(view)).double().softmax(1) for view in seen]).mean(0)
    network.train()

    assert count == len(seen)
    assert torch.equal(images, seen[0])
    assert count == len({tuple(view.flatten().tolist()) for view in seen})
    told = probabilities(network, images, PLAIN, flip=flip, shift=shift)
    assert torch.allclose(wanted, torch.from_numpy(told), atol=1e-6)
    assert network.training


def test_a_moved_view_is_the_face_moved_with_its_edge_repeated():
    """The first corner's view shows pixel (0, 0) where (2, 2) was, and its edge in the gap."""
    image = torch.arange(36, dtype=torch.uint8).reshape(1, 6, 6)
    moved = tta_views(image, False, 2)[1][0]

    assert torch.equal(image[0, :4, :4], moved[2:, 2:])
    assert torch.equal(moved[2, 2:], moved[0, 2:])
