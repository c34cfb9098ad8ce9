"""Networks of the user's own code: their options, as the class or function declares them, and what they must be.

docs/extending.md says it for readers. A class or function takes `side` and `classes`, where it has such parameters, and
its options: as keyword arguments, or as one dataclass that its first parameter is annotated with, as mien's own do.
"""

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parameter import is_lazy

from mien.errors import RecipeError
from mien.labels import did_you_mean
from mien.networks import as_input, build
from mien.networks.cost import describe
from mien.networks.graph import require_exportable
from mien.networks.network import stages_of
from mien.plugins import load_plugin, user_code
from mien.recipe import CustomNetwork, Network, coerce

GIVEN = ("side", "classes")
PLAIN = (bool, int, float, str)  # types that a recipe can hold, and tuples of them
ANSWER_TOLERANCE = 1e-2  # between logits, absolute and relative
STEADY_TOLERANCE = 1e-3  # the same, relative, on one machine; a tenth of it absolute
PROBES = 2  # faces that a network is tried on

Factory = Callable[..., Any]


def call(factory: Factory, options: CustomNetwork, *, side: int, classes: int) -> nn.Module:
    """Return the network that somebody's class or function makes of a recipe's options."""
    declared, dataclass = _declared(factory)
    arguments = _arguments(options, declared)
    given = {"side": side, "classes": classes}
    accepted = inspect.signature(factory).parameters
    keywords = {name: value for name, value in given.items() if name in accepted}
    with user_code(f"network: {options.kind} fails", factory):
        if dataclass is None:
            network = factory(**arguments, **keywords)
        else:
            network = factory(dataclass(**arguments), **keywords)
        if isinstance(network, nn.Module):
            _materialize(network, side)
    if not isinstance(network, nn.Module):
        raise RecipeError(
            f"network.kind: {options.kind} gives {type(network).__name__} and not a torch.nn.Module"
        )
    return network


def _materialize(network: nn.Module, side: int) -> None:
    """Give lazy layers, which learn their inputs' size from a first face, their weights."""
    if any(map(is_lazy, network.parameters())):
        with torch.no_grad():
            network.eval()(as_input(torch.zeros(1, side, side, dtype=torch.uint8)))
        network.train()


def with_defaults(options: Network) -> Network:
    """Return a custom network's options with all that its code declares, so that a run keeps them whatever changes."""
    if not isinstance(options, CustomNetwork):
        return options
    declared, _ = _declared(load_plugin(options.kind, "network.kind"))
    defaults = {name: _frozen(p.default) for name, p in declared.items() if _fits_recipe(p.default)}
    own = {name: _frozen(value) for name, value in _arguments(options, declared).items()}
    return dataclasses.replace(options, options=tuple(sorted({**defaults, **own}.items())))


def described(network: nn.Module | Factory) -> CustomNetwork:
    """Return the recipe's section for a class, a function, a `functools.partial` of one, or a module that one made.

    Of a module the options are its attributes of the parameters' names, as scikit-learn's estimators have them.
    Raises RecipeError where a run of it could not be loaded again.
    """
    factory, options = network, {}
    if isinstance(network, nn.Module):
        factory = type(network)
        names = [name for name in _declared(factory)[0] if hasattr(network, name)]
        options = {name: getattr(network, name) for name in names if _fits_recipe(getattr(network, name))}
    elif isinstance(network, partial):
        factory, options = network.func, network.keywords
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", "")
    if module in (None, "__main__") or not name.isidentifier():
        raise RecipeError(
            f"network: {name or factory!r} cannot be imported again to load its run; define it at the top of a module "
            f"of its own (my_net.py), and import it from there"
        )
    if not all(map(_fits_recipe, options.values())):
        raise RecipeError(f"network: options of {name} are numbers, text, true, false or lists of these")
    own = tuple(sorted((key, _frozen(value)) for key, value in options.items() if key not in GIVEN))
    return CustomNetwork(kind=f"{module}:{name}", options=own)


def require_same_tensors(network: nn.Module, options: CustomNetwork, *, side: int, classes: int) -> None:
    """Raise RecipeError unless a recipe's options make a network with the tensors of the module they were read off."""
    with torch.random.fork_rng(devices=[]):
        built = build(options, side=side, classes=classes)
    shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (built, network)]
    if shapes[0] != shapes[1]:
        raise RecipeError(
            f"network: {options.kind} cannot be built again from this module, which does not keep its options as "
            f"attributes of their names; give functools.partial({options.kind.rpartition(':')[2]}, …) instead"
        )


def answers(network: nn.Module, side: int) -> list[float]:
    """Return the logits of one fixed face of noise in fp32 on the CPU, by which changed code is noticed later."""
    face = torch.randint(0, 256, (1, side, side), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    copied = copy.deepcopy(network).cpu().float().eval()
    with torch.inference_mode():
        return copied(as_input(face)).double()[0].tolist()


def same_answers(network: nn.Module, expected: Sequence[float] | None, side: int) -> bool:
    """Tell whether a network still answers as it did, but for what machines differ by; None is what was not noted."""
    if expected is None:
        return True
    return bool(np.allclose(answers(network, side), expected, rtol=ANSWER_TOLERANCE, atol=ANSWER_TOLERANCE))


def check(options: Network, *, side: int, classes: int) -> nn.Module:
    """Return the network of a recipe, tried out where it is somebody's own; torch's random state stays as it is.

    Raises RecipeError in one line for options that do not fit, a forward or backward pass that fails, logits of another
    shape, probabilities, stages that are none, answers that vary in evaluation, and, unless the recipe says
    `export = false`, what cannot be written as ONNX.
    """
    if not isinstance(options, CustomNetwork):
        with torch.device("meta"):  # shapes alone: no memory, no random numbers
            return build(options, side=side, classes=classes)
    with torch.random.fork_rng(devices=[]):
        network = build(options, side=side, classes=classes)
        faces = torch.randint(0, 256, (PROBES, side, side), generator=torch.Generator().manual_seed(0))
        faces = faces.to(torch.uint8)
        _try(network, options.kind, faces, classes)
        _refuse_stages(network, options.kind)
        with user_code(f"network: {options.kind} fails on a single face", network.forward):
            describe(network, side)
            steady = _is_steady(network, faces)
        if not steady:
            raise RecipeError(
                f"network: {options.kind} answers otherwise when it is asked again for one face alone; dropout and "
                f"noise must end where self.training is False, and other faces of a batch must not matter"
            )
        if options.export:
            require_exportable(network, options.kind, side=side, classes=classes)
    return network


def _try(network: nn.Module, kind: str, faces: torch.Tensor, classes: int) -> None:
    """Raise RecipeError unless the network answers faces uint8 (B, S, S) with logits, and learns."""
    if not any(p.requires_grad for p in network.parameters()):
        raise RecipeError(f"network: {kind} has no parameters to train")
    shape = "x".join(map(str, as_input(faces).shape))
    with user_code(f"network: {kind} fails on faces of {shape}", network.forward):
        logits = network.train()(as_input(faces))
        _refuse_output(logits, kind, (len(faces), classes))
        F.cross_entropy(logits, torch.arange(len(faces)) % classes).backward()
        network.zero_grad()
        _refuse_output(network.eval()(as_input(faces)), kind, (len(faces), classes))


def _is_steady(network: nn.Module, faces: torch.Tensor) -> bool:
    """Tell whether in evaluation faces have the logits alone, asked again, that they have in one batch."""
    with torch.no_grad():
        together = network.eval()(as_input(faces))
        alone = torch.cat([network(as_input(face[None])) for face in faces])
    return torch.allclose(together, alone, rtol=STEADY_TOLERANCE, atol=STEADY_TOLERANCE / 10)


def _refuse_output(logits: Any, kind: str, shape: tuple[int, int]) -> None:
    if not isinstance(logits, torch.Tensor):
        raise RecipeError(f"network: {kind} gives {type(logits).__name__} and not a tensor of logits")
    if tuple(logits.shape) != shape:
        raise RecipeError(
            f"network: {kind} gives {tuple(logits.shape)} for {shape[0]} faces; logits of the {shape[1]} classes "
            f"have the shape {shape}"
        )
    if not logits.is_floating_point() or not bool(logits.isfinite().all()):
        raise RecipeError(f"network: {kind} gives {logits.dtype} that are not all finite; logits are floats")
    if _is_softmax(logits):
        raise RecipeError(f"network: {kind} gives probabilities and not logits; leave the softmax out")


def _is_softmax(logits: torch.Tensor) -> bool:
    """Tell whether (N, classes) are what a softmax gives: the loss takes another, and learning nearly stops."""
    sums = logits.detach().float().sum(1)
    return bool((logits >= 0).all()) and bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-3))


def _refuse_stages(network: nn.Module, kind: str) -> None:
    """Raise RecipeError unless `stages`, where the network has it, gives (kind, label, module of the network)."""
    own = set(network.modules())
    with user_code(f"network: stages() of {kind} fails", network.forward):
        stages = stages_of(network)
        fits = [isinstance(k, str) and isinstance(label, str) and part in own for k, label, part in stages]
    if not all(fits):
        raise RecipeError(f"network: stages() of {kind} gives a list of (kind, label, module of the network)")


def _declared(factory: Factory) -> tuple[dict[str, inspect.Parameter], Factory | None]:
    """Return the options that a class or function declares, and the dataclass that holds them, if one does.

    Annotations are types where they can be found. `**` among the parameters has an entry of its name.
    """
    function = factory.__init__ if isinstance(factory, type) else factory
    parameters, hints = dict(inspect.signature(factory).parameters), _hints(function)
    first = hints.get(next(iter(parameters), ""))
    if isinstance(first, type) and dataclasses.is_dataclass(first):
        parameters, hints, dataclass = dict(inspect.signature(first).parameters), _hints(first), first
    else:
        dataclass = None
    options = {
        name: parameter.replace(annotation=hints.get(name, inspect.Parameter.empty))
        for name, parameter in parameters.items()
        if name not in GIVEN and parameter.kind is not inspect.Parameter.VAR_POSITIONAL
    }
    return options, dataclass


def _hints(function: Any) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except Exception:  # annotations that name what is not imported
        return {}


def _arguments(options: CustomNetwork, declared: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Return a recipe's options as the declared types have them; RecipeError lists all that does not fit."""
    errors, arguments, given = [], {}, dict(options.options)
    free = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in declared.values())
    names = [name for name, p in declared.items() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    for name, value in given.items():
        if name not in names:
            if free:
                arguments[name] = value
            else:
                known = did_you_mean(name, names) or f"; it has {', '.join(names) or 'none'}"
                errors.append(f"{options.kind} has no option {name}{known}")
            continue
        error, arguments[name] = _as_declared(value, declared[name])
        if error:
            errors.append(f"network.{name} {error} and is {value!r}")
    missing = [
        name for name in names if declared[name].default is inspect.Parameter.empty and name not in given
    ]
    errors += [f"{options.kind} needs network.{name}=…" for name in missing]
    if errors:
        raise RecipeError("; ".join(errors))
    return arguments


def _as_declared(value: Any, parameter: inspect.Parameter) -> tuple[str | None, Any]:
    """Return what is wrong with a value, or None, and the value as a parameter declares it."""
    hint = parameter.annotation
    if hint is inspect.Parameter.empty:
        hint = type(parameter.default)
    if hint is list or get_origin(hint) is list:
        return None, list(value) if isinstance(value, tuple) else [value]
    if hint is tuple:
        return None, value if isinstance(value, tuple) else (value,)
    if hint in PLAIN or _is_checked(hint):
        return coerce(list(value) if isinstance(value, tuple) else value, hint, {})
    return None, value


def _is_checked(hint: Any) -> bool:
    """Tell whether `recipe.coerce` knows a type that has arguments: Literal, or a tuple of one plain type."""
    arguments = get_args(hint)
    plain = len(arguments) == 2 and arguments[0] in PLAIN and arguments[1] is ...
    return get_origin(hint) is Literal or (get_origin(hint) is tuple and plain)


def _fits_recipe(value: Any) -> bool:
    """Tell whether a recipe can hold a value."""
    parts = value if isinstance(value, tuple | list) else (value,)
    return all(type(part) in PLAIN for part in parts)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
