"""Published weights -> our names: other libraries' state dicts, key by key, from where a layer stands.

Which names a library has follows from the plan (`layouts`). Nothing is matched by shape or by order in the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from itertools import islice

import torch
from torch import Tensor

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import Shape, layers
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture
from archsearch.network.build import skeleton
from archsearch.network.layouts import LayerAddress, Layout
from archsearch.network.libraries import LAYOUTS
from archsearch.network.zero_padding import reordered
from archsearch.reading.errors import InputError, refuse
from archsearch.zoo import get
from archsearch.zoo.libraries import LIBRARIES

SHOWN = 3  # keys that an error names


def convert_weights(state_dict: Mapping[str, Tensor], name: str, source: str = "torchvision") -> dict[str, Tensor]:
    """Another library's weights of the network `name` as the state dict of `archsearch.build(name)`.

    `source`: torchvision, timm, pytorch_resnet_cifar10 (its option A pads on both sides, so channels are reordered) or
    pytorch-cifar. The tensors are the given ones, not copies, but for those that are reordered. Files from before
    torch 0.4.1 count no batches: those counts are 0. Raises InputError for a source or name that is not supported, and,
    naming the first keys, where a weight is missing, unexpected, or with a different shape.
    """
    libraries = dict.fromkeys(library for layout in LAYOUTS for library in layout.libraries)
    if source not in libraries:
        raise refuse(f"weights from {source!r} cannot be converted", allowed=" or ".join(libraries), file="source")
    supported = ", ".join(LIBRARIES.get(source, ()))
    try:
        architecture = get(name)
    except InputError as error:
        raise refuse(f"no network is called {name!r}", allowed=supported, file="name") from error
    if layout := layout_for(architecture, source, state_dict):
        return converted(state_dict, architecture, layout)
    raise refuse(f"{source} has no network that is equivalent to {name!r}", allowed=supported, file="name")


def converted(state: Mapping[str, Tensor], architecture: Architecture, layout: Layout) -> dict[str, Tensor]:
    """The state dict of such a network, with names of this layout, as ours. Raises InputError as `convert_weights`."""
    modules = dict(published_names(architecture, layout))

    def renamed(key: str) -> str:
        module, _, tensor = key.rpartition(".")
        return f"{modules[module]}.{tensor}"

    leftover = _joined({modern(key): value for key, value in state.items()})
    weights, expected = {}, skeleton(architecture).state_dict()
    for key, tensor in expected.items():
        if renamed(key) in leftover:
            weights[key] = _as_convolution(leftover.pop(renamed(key)), tensor)
        elif key.endswith(".num_batches_tracked"):
            weights[key] = torch.zeros(tensor.shape, dtype=tensor.dtype)
    check(weights, expected, what=architecture.name or "this network", leftover=leftover, name_of=renamed)
    return reordered(weights, architecture) if layout.pads_on_both_sides else weights


def equivalent(theirs: Architecture, architecture: Architecture) -> bool:
    """The same network, but for its image and its classes. False where the image is too small for theirs."""
    if [stage.depth for stage in theirs.stages] != [stage.depth for stage in architecture.stages]:
        return False
    fitted = theirs.model_copy(update={"input": architecture.input, "classes": architecture.classes})
    try:
        return digest(fitted) == digest(architecture)
    except InputError:
        return False


def layout_for(architecture: Architecture, library: str, keys: Container[str] = ()) -> Layout | None:
    """The library's layout whose classes can be this network, rather one of which these keys are; None where it has
    none."""
    fits = [layout for layout in LAYOUTS if library in layout.libraries and not layout.differs(architecture)]
    return next((layout for layout in fits if layout.mark in keys), fits[0] if fits else None)


def check(
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    what: str,
    leftover: Iterable[str] = (),
    name_of: Callable[[str], str] = str,
) -> None:
    """All tensors that are expected, in their shapes, and nothing besides. Raises InputError with the first keys
    that are wrong, under the names that the file has (`name_of`); `what` names the network in the message."""
    missing = [name_of(key) for key in expected if key not in weights]
    shapes = [
        f"{name_of(key)} is {tuple(weights[key].shape)} and not {tuple(expected[key].shape)}"
        for key in expected
        if key in weights and weights[key].shape != expected[key].shape
    ]
    wrong = {"missing": missing, "unexpected": sorted(leftover), "with a different shape": shapes}
    problems = "; ".join(f"{len(keys)} {kind} ({_first(keys)})" for kind, keys in wrong.items() if keys)
    if problems:
        raise refuse(f"these are not the weights of {what}: {problems}", allowed="exactly the tensors of that network")


def published_names(architecture: Architecture, layout: Layout) -> Iterator[tuple[str, str]]:
    """Our dotted path, and the library's, of each layer that may have weights, in the plan's order."""
    counts: Counter[tuple[object, ...]] = Counter()
    for layer in layers(plan(architecture), Shape(*architecture.input)):
        if not layer.cost.params:
            continue
        *sections, op = layer.path.split(".")
        numbers = {kind: int(number) for kind, number in re.findall(r"(stage|block)(\d+)", layer.path)}
        slot = _slot(sections)
        kind = op.rstrip("0123456789")
        counts[slot, kind, *numbers.values()] += 1
        address = LayerAddress(slot=slot, kind=kind, number=counts[slot, kind, *numbers.values()], **numbers)
        yield layer.path, layout.name(address, architecture)


def _slot(sections: list[str]) -> str:
    match sections:
        case [_, _, "branch", _, "weights"]:
            return "attention"
        case [_, _, "shared" | "branch"]:
            return "main"
        case _:
            return sections[-1]


def modern(key: str) -> str:
    """torchvision's DenseNet files are of 2017, when a dense layer's names still had a dot: norm.1, conv.2. Networks
    that were trained on several GPUs have `module.` before each name."""
    return re.sub(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key.removeprefix("module."))


def _joined(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """timm's DPN-68b has two convolutions, for what is added and what is concatenated, in place of a block's last."""
    joined = dict(state)
    for key in state:
        if key.endswith(".c1x1_c1.weight"):
            block = key.removesuffix(".c1x1_c1.weight")
            parts = [joined.pop(f"{block}.c1x1_c{number}.weight") for number in (1, 2)]
            joined[f"{block}.c1x1_c.conv.weight"] = torch.cat(parts)
    return joined


def _as_convolution(value: Tensor, like: Tensor) -> Tensor:
    """A linear layer's weight as that of the convolution that sees all its positions (torchvision's VGG)."""
    same = value.ndim == 2 and like.ndim == 4 and value.numel() == like.numel() and len(value) == len(like)
    return value.reshape(like.shape) if same else value


def _first(keys: list[str]) -> str:
    return ", ".join(islice(keys, SHOWN)) + (", ..." if len(keys) > SHOWN else "")
