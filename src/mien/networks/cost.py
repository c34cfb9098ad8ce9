"""What a network costs and how it is built up, measured on the network itself."""

import torch
from torch import nn

from mien.networks import as_input
from mien.networks.clip import ClipNetwork
from mien.networks.network import stages_of

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _example(network: nn.Module, side: int) -> tuple[torch.Tensor, ...]:
    """Return what a network takes, of one face."""
    if isinstance(network, ClipNetwork):
        return network.example(side)
    return (as_input(torch.zeros(1, side, side, dtype=torch.uint8)),)


def describe(network: nn.Module, side: int) -> dict:
    """Return parameters, multiply-adds of one face and the stages, as written to `network.json`.

    A multiply-add is one multiplication with its addition in a convolution or a linear layer;
    norms, activations and pooling are not counted, as in the papers' tables, nor is what a module of somebody's
    own multiplies by itself. A stage that no tensor comes out of is skipped.
    """
    shapes: dict[nn.Module, tuple[int, ...]] = {}
    multiply_adds: dict[nn.Module, int] = {}

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, tuple) and output:  # a module over time gives its state, too
            output = output[0]
        if not isinstance(output, torch.Tensor):
            return
        shapes[module] = tuple(output.shape[1:])
        if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
            places = (
                output.numel() // module.weight.shape[0]
            )  # at which the weights are applied to this one face
            multiply_adds[module] = multiply_adds.get(module, 0) + module.weight.numel() * places
        elif isinstance(module, nn.GRUCell):
            multiply_adds[module] = module.weight_ih.numel() + module.weight_hh.numel()

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    was_training = network.training
    try:
        network.eval()
        with torch.inference_mode():
            network(*_example(network, side))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    stages = [
        {
            "kind": kind,
            "label": label,
            "layers": len(module) if kind in ("dense", "block") and isinstance(module, nn.Sequential) else 1,
            "shape": list(shapes[module]),
            "parameters": parameter_count(module),
            "multiply_adds": sum(multiply_adds.get(m, 0) for m in module.modules()),
        }
        for kind, label, module in stages_of(network)
        if module in shapes
    ]
    return {
        "parameters": parameter_count(network),
        "multiply_adds": sum(multiply_adds.values()),
        "stages": stages,
    }
