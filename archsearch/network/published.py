"""Published weights -> our names: torchvision's and timm's state dicts, key by key, from where a layer stands.

A layout says under which name its library keeps the layer that stands at a `LayerAddress`; the addresses follow from
the plan. Nothing is matched by shape or by order in the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from archsearch.architecture.cost import Shape, layers
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture
from archsearch.network.build import skeleton
from archsearch.reading.errors import refuse

RESNETS = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
)
DENSENETS = ("densenet121", "densenet161", "densenet169", "densenet201")
SHOWN = 3  # keys that an error names


@dataclass(frozen=True, kw_only=True)
class LayerAddress:
    """Where a layer stands. `number` counts the convolutions, or the norms, of its slot in order, from 1.

    `slot`: stem, head, entry and exit of a stage, and in a block main (shared and branch, which are one row of
    layers in the libraries), shortcut, or attention.
    """

    slot: str
    kind: str
    number: int
    stage: int = 0
    block: int = 0


def convert_weights(state_dict: Mapping[str, Tensor], name: str, source: str = "torchvision") -> dict[str, Tensor]:
    """torchvision's or timm's weights of the network `name` as the state dict of `archsearch.build(name)`.

    The tensors are the given ones, not copies. Files from before torch 0.4.1 count no batches: those counts are 0.
    Raises InputError for a source or name that is not supported, and, naming the first keys, where a weight is
    missing, unexpected, or with a different shape.
    """
    from archsearch.zoo import get

    layout_of(name, source)
    return converted(state_dict, get(name), name, source)


def layout_of(name: str, source: str) -> Layout:
    """How `source` names the layers of the network `name`. Raises InputError where it does not publish it."""
    if source not in PUBLISHED:
        raise refuse(f"weights from {source!r} cannot be converted", allowed=" or ".join(PUBLISHED), file="source")
    for names, layout in PUBLISHED[source]:
        if name in names:
            return layout
    supported = ", ".join(known for names, _ in PUBLISHED[source] for known in names)
    raise refuse(f"{source} has no convertible weights for {name!r}", allowed=supported, file="name")


def converted(state: Mapping[str, Tensor], architecture: Architecture, name: str, source: str) -> dict[str, Tensor]:
    """`convert_weights` for an architecture that differs from the zoo's by its image or its classes alone."""
    modules = dict(published_names(architecture, layout_of(name, source)))

    def renamed(key: str) -> str:
        module, _, tensor = key.rpartition(".")
        return f"{modules[module]}.{tensor}"

    leftover = {_modern(key): value for key, value in state.items()}
    weights, expected = {}, skeleton(architecture).state_dict()
    for key, tensor in expected.items():
        if renamed(key) in leftover:
            weights[key] = leftover.pop(renamed(key))
        elif key.endswith(".num_batches_tracked"):
            weights[key] = torch.zeros(tensor.shape, dtype=tensor.dtype)
    check(weights, expected, what=f"{source}'s {name}", leftover=leftover, name_of=renamed)
    return weights


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
        yield layer.path, layout(address)


def _slot(sections: list[str]) -> str:
    match sections:
        case [_, _, "branch", _, "weights"]:
            return "attention"
        case [_, _, "shared" | "branch"]:
            return "main"
        case _:
            return sections[-1]


def _resnet(address: LayerAddress) -> str:
    """torchvision's ResNet, and timm's, which adds squeeze-and-excitation."""
    kind = {"conv": "conv", "norm": "bn", "linear": "fc"}[address.kind]
    block = f"layer{address.stage}.{address.block - 1}"
    match address.slot:
        case "stem":
            return f"{kind}{address.number}"
        case "main":
            return f"{block}.{kind}{address.number}"
        case "shortcut":
            return f"{block}.downsample.{0 if address.kind == 'conv' else 1}"
        case "attention":
            return f"{block}.se.fc{address.number}"
        case _:
            return kind


def _densenet(address: LayerAddress) -> str:
    """torchvision's and timm's DenseNet. A transition is counted with the stage that it leaves."""
    match address.slot:
        case "stem":
            return f"features.{address.kind}{address.number - 1}"
        case "main":
            return f"features.denseblock{address.stage}.denselayer{address.block}.{address.kind}{address.number}"
        case "entry":
            return f"features.transition{address.stage - 1}.{address.kind}"
        case "exit":
            return f"features.norm{address.stage + 1}"
        case _:
            return "classifier"


def _preactivated(address: LayerAddress) -> str:
    """timm's ResNetV2."""
    block = f"stages.{address.stage - 1}.blocks.{address.block - 1}"
    match address.slot:
        case "stem":
            return f"stem.{address.kind}"
        case "main":
            return f"{block}.{address.kind}{address.number}"
        case "shortcut":
            return f"{block}.downsample.{address.kind}"
        case "exit":
            return "norm"
        case _:
            return "head.fc"


def _dual_path(address: LayerAddress) -> str:
    """timm's DPN. The projection is called after its stride: 1 in the first stage, 2 in the others."""
    kind = {"conv": "conv", "norm": "bn"}[address.kind]
    block = f"features.conv{address.stage + 1}_{address.block}"
    match address.slot:
        case "stem":
            return f"features.conv1_1.{kind}"
        case "main":
            return f"{block}.{('c1x1_a', 'c3x3_b', 'c1x1_c')[address.number - 1]}.{kind}"
        case "shortcut":
            return f"{block}.c1x1_w_s{1 if address.stage == 1 else 2}.{kind}"
        case "exit":
            return f"features.conv{address.stage + 1}_bn_ac.{kind}"
        case _:
            return "classifier"


Layout = Callable[[LayerAddress], str]
PUBLISHED: dict[str, tuple[tuple[tuple[str, ...], Layout], ...]] = {
    "torchvision": ((RESNETS, _resnet), (DENSENETS, _densenet)),
    "timm": (
        ((*RESNETS, "seresnet50", "seresnext50_32x4d"), _resnet),
        (DENSENETS, _densenet),
        (("resnetv2_50", "resnetv2_101", "resnetv2_152"), _preactivated),
        (("dpn68", "dpn92", "dpn98", "dpn107", "dpn131"), _dual_path),
    ),
}


def _modern(key: str) -> str:
    """torchvision's DenseNet files are of 2017, when a dense layer's names still had a dot: norm.1, conv.2."""
    return re.sub(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key)


def _first(keys: list[str]) -> str:
    return ", ".join(islice(keys, SHOWN)) + (", ..." if len(keys) > SHOWN else "")
