"""A state dict of ours or of another library -> the start of a network, whose classifier may be another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.network.build import Network, skeleton
from archsearch.network.layouts import Layout
from archsearch.network.libraries import LAYOUTS
from archsearch.network.published import check, converted, equivalent, published_names
from archsearch.reading.errors import refuse
from archsearch.zoo import get
from archsearch.zoo.libraries import LIBRARIES

OWN_STEM = "stem.conv1.weight"


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a network was given: whose names the weights had, how many tensors, and which stayed as built."""

    source: str
    loaded: int
    replaced: tuple[str, ...]


def load_pretrained(network: Network, state: Mapping[str, Tensor]) -> Start:
    """Loads the weights; the classifier stays as it was built where the numbers of classes differ.

    Another library's weights are recognised by their names, and taken by networks that its classes can be: there it is
    known that both compute the same. Raises InputError for weights of another network.
    """
    architecture = network.architecture
    path, classifier = classifier_of(network)
    in_file, weights, source = named(state, architecture)
    if in_file.input[0] != architecture.input[0]:
        raise refuse(
            f"the first convolution takes images of {in_file.input[0]} channels, but the data has "
            f"{architecture.input[0]}",
            allowed="weights of a network with the same number of input channels",
        )
    replaced: tuple[str, ...] = ()
    if in_file.classes != architecture.classes:
        anew = {f"{path}.{key}": value for key, value in classifier.state_dict().items()}
        weights, replaced = {**weights, **anew}, tuple(anew)
    network.load_state_dict(weights)
    return Start(source=source, loaded=len(weights) - len(replaced), replaced=replaced)


def named(state: Mapping[str, Tensor], architecture: Architecture) -> tuple[Architecture, dict[str, Tensor], str]:
    """The network with the channels and classes that these weights of it have, all its tensors by our names, and whose
    names they had. Raises InputError as `load_pretrained`."""
    state = {key.removeprefix("module."): value for key, value in state.items()}
    layout = _recognised(state, architecture)
    names = dict(published_names(architecture, layout)) if layout else {}
    stem = f"{next(iter(names.values()))}.weight" if names else OWN_STEM
    path, _ = classifier_of(skeleton(architecture))
    weight, (channels, *sides) = state.get(f"{names.get(path, path)}.weight"), architecture.input
    if stem in state and state[stem].ndim == 4:
        channels = state[stem].shape[1]
    classes = weight.shape[0] if weight is not None and weight.ndim else architecture.classes
    in_file = architecture.model_copy(update={"input": (channels, *sides), "classes": classes})
    weights = converted(state, in_file, layout) if layout else _checked(state, in_file)
    return in_file, weights, _libraries(layout, architecture) if layout else "archsearch"


def classifier_of(network: nn.Module) -> tuple[str, nn.Module]:
    """The dotted path and the module that emits the scores: the last one that has parameters of its own."""
    with_parameters = [
        (name, module)
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    return with_parameters[-1]


def recoloured(filters: Tensor, channels: int) -> Tensor:
    """Filters (N, C, h, w) for images of other channels: of one channel their sums over C, so that a grey image gives
    what it would in all C; of more they are repeated in turn and scaled by C over their number, of fewer those in
    excess are added in turn. For 1 channel and for more than 3 of 3 this is what timm does (`adapt_input_conv`)."""
    given = filters.shape[1]
    count = max(given, channels)
    target = torch.zeros(len(filters), channels, *filters.shape[2:], dtype=filters.dtype, device=filters.device)
    turns = torch.arange(count, device=filters.device)
    target.index_add_(1, turns % channels, filters[:, turns % given])
    return target * given / count


def _recognised(state: Mapping[str, Tensor], architecture: Architecture) -> Layout | None:
    """The layout of these names, whose classes can be this network; None for our own names."""
    layouts = [layout for layout in LAYOUTS if layout.mark in state]
    if not layouts and OWN_STEM in state:
        return None
    if not layouts:
        raise refuse(
            f"no tensors with known names (the first: {', '.join(list(state)[:3]) or 'none'})",
            allowed="weights of archsearch, torchvision, timm, pytorch_resnet_cifar10 or pytorch-cifar",
        )
    problems = {layout: layout.differs(architecture) for layout in layouts}
    for layout, problem in problems.items():
        if not problem:
            return layout
    libraries = " or ".join(dict.fromkeys(library for layout in layouts for library in layout.libraries))
    raise refuse(
        f"{libraries}, whose names these are, have no network that is equivalent to {_title(architecture)}",
        allowed="; ".join(dict.fromkeys(f"{layout.title}: {problem}" for layout, problem in problems.items())),
    )


def _libraries(layout: Layout, architecture: Architecture) -> str:
    """Whose the names are: of the libraries that share them those that publish this network, or else the last, which
    has the most of them."""
    publishing = [
        library
        for library in layout.libraries
        if any(equivalent(get(name), architecture) for name in LIBRARIES.get(library, ()))
    ]
    return " or ".join(publishing or layout.libraries[-1:])


def _checked(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Our own names, checked."""
    expected = skeleton(architecture).state_dict()
    check(state, expected, what=_title(architecture), leftover=state.keys() - expected.keys())
    return dict(state)


def _title(architecture: Architecture) -> str:
    return architecture.name or digest(architecture)
