"""A state dict of ours, torchvision's or timm's -> the start of a network, whose classifier may be another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.network.build import Network, skeleton
from archsearch.network.published import PUBLISHED, LayerAddress, check, converted, layout_of, published_names
from archsearch.reading.errors import refuse

OWN_STEM = "stem.conv1.weight"
STEM = LayerAddress(slot="stem", kind="conv", number=1)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a network was given: whose names the weights had, how many tensors, and which stayed as built."""

    source: str
    loaded: int
    replaced: tuple[str, ...]


def load_pretrained(network: Network, state: Mapping[str, Tensor]) -> Start:
    """Loads the weights; the classifier stays as it was built where the numbers of classes differ.

    torchvision's and timm's weights are recognised by their names, and taken for the networks that they publish
    alone: there it is known that both compute the same. Raises InputError for weights of another network.
    """
    architecture = network.architecture
    source, name, stem = _recognised(state, architecture)
    channels = state[stem].shape[1] if state[stem].ndim == 4 else None
    if channels != architecture.input[0]:
        raise refuse(
            f"{stem} takes images of {channels} channels, but the data has {architecture.input[0]}",
            allowed="weights of a network with the same number of input channels",
        )
    path, classifier = classifier_of(network)
    layout = layout_of(name, source) if name else None
    weight = state.get(f"{dict(published_names(architecture, layout))[path] if layout else path}.weight")
    classes = weight.shape[0] if weight is not None and weight.ndim else architecture.classes
    in_file = architecture.model_copy(update={"classes": classes})
    weights = converted(state, in_file, name, source) if name else _checked(state, in_file)
    replaced: tuple[str, ...] = ()
    if classes != architecture.classes:
        anew = {f"{path}.{key}": value for key, value in classifier.state_dict().items()}
        weights, replaced = {**weights, **anew}, tuple(anew)
    network.load_state_dict(weights)
    return Start(source=source, loaded=len(weights) - len(replaced), replaced=replaced)


def classifier_of(network: nn.Module) -> tuple[str, nn.Module]:
    """The dotted path and the module that emits the scores: the last one that has parameters of its own."""
    with_parameters = [
        (name, module)
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    return with_parameters[-1]


def _recognised(state: Mapping[str, Tensor], architecture: Architecture) -> tuple[str, str, str]:
    """Whose names these are, what the network is called there (nothing for our own), and the stem's tensor."""
    if OWN_STEM in state:
        return "archsearch", "", OWN_STEM
    layouts = [
        (source, names, f"{layout(STEM)}.weight")
        for source, rows in PUBLISHED.items()
        for names, layout in rows
        if f"{layout(STEM)}.weight" in state
    ]
    if not layouts:
        raise refuse(
            f"no tensors with known names (the first: {', '.join(list(state)[:3]) or 'none'})",
            allowed="weights of archsearch, torchvision or timm",
        )
    for source, names, stem in layouts:
        for name in names:
            if _is_the_zoos(architecture, name):
                return source, name, stem
    raise refuse(
        f"{layouts[0][0]} has no network that is equivalent to {architecture.name or digest(architecture)}",
        allowed=", ".join(dict.fromkeys(name for _, names, _ in layouts for name in names)),
    )


def _is_the_zoos(architecture: Architecture, name: str) -> bool:
    """The same network, but for its image and its classes."""
    from archsearch.zoo import get

    fitted = get(name).model_copy(update={"input": architecture.input, "classes": architecture.classes})
    return digest(fitted) == digest(architecture)


def _checked(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Our own names, checked."""
    expected = skeleton(architecture).state_dict()
    check(state, expected, what=architecture.name or digest(architecture), leftover=state.keys() - expected.keys())
    return dict(state)
