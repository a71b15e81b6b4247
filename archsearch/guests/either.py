"""A network whosever it is: one of the grammar, or a guest. Readers that take both ask here, and ask nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from archsearch.architecture import canonical
from archsearch.architecture import cost as counting
from archsearch.architecture.plan import plan
from archsearch.architecture.quantities import Cost, Shape
from archsearch.architecture.spec import Architecture
from archsearch.guests.guest import Guest
from archsearch.reading.document import Document
from archsearch.reading.validation import validate
from archsearch.reading.yaml import read as read_yaml

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from archsearch.network.build import Network
    from archsearch.network.pretrained import Start

Described = Architecture | Guest  # a network as data


def read(source: str | Path) -> Described:
    """The network of a YAML file (a Path) or text: a guest where it has the key `guest`. Raises InputError with file,
    line and column."""
    return parsed(read_yaml(source))


def parsed(source: Document | dict[str, Any]) -> Described:
    """The inverse of `to_dict`. Raises InputError for anything that is no network."""
    data = source.data if isinstance(source, Document) else source
    if isinstance(data, dict) and "guest" in data:
        return validate(Guest, source)
    return validate(Architecture, source)


def digest(network: Described) -> str:
    """Sixteen hex digits: equal for the same network, image and classes."""
    return network.digest if isinstance(network, Guest) else canonical.digest(network)


def cost(network: Described) -> Cost:
    """What it costs: by the plan; a guest is built and counted by fvcore. Raises InputError where its image runs
    out."""
    if isinstance(network, Guest):
        from archsearch.guests.counting import cost_of

        return cost_of(network)
    return counting.cost(network)


def parts(network: Described, *, layers: bool) -> list[tuple[str, str, Cost]]:
    """(dotted name, shape of the output, cost) of the network's stages, or with `layers` of its layers, in the order of
    a forward pass; of a guest, those of its modules."""
    if isinstance(network, Guest):
        from archsearch.guests.counting import parts as parts_of

        return [*parts_of(network, layers=layers)]
    planned, x = plan(network), Shape(*network.input)
    if layers:
        return [(layer.path, str(layer.output), layer.cost) for layer in counting.layers(planned, x)]
    return [(name, str(part.shape(into)), counting.total(part, into)) for name, part, into in planned.parts(x)]


@overload
def build(network: Architecture, *, seed: int = 0, device: str | torch.device = "cpu") -> Network: ...
@overload
def build(network: Described, *, seed: int = 0, device: str | torch.device = "cpu") -> nn.Module: ...
def build(network: Described, *, seed: int = 0, device: str | torch.device = "cpu") -> nn.Module:
    """Its module, initialised from `seed`. Raises InputError where its image runs out."""
    if isinstance(network, Guest):
        from archsearch.guests.building import build_guest

        return build_guest(network, seed=seed, device=device)
    from archsearch.network.build import build

    return build(network, seed=seed, device=device)


def described(module: nn.Module) -> Described:
    """The network that a module of `build` was built from."""
    network: Described = vars(module)["architecture"]
    return network


def params(network: Described) -> int:
    """How many parameters it has, without memory for them. Raises InputError where its image runs out."""
    if isinstance(network, Guest):
        from archsearch.guests.building import parameters_of

        return parameters_of(network)
    return counting.cost(network).params


def load(module: nn.Module, state: Mapping[str, Tensor]) -> Start:
    """Loads weights of archsearch, torchvision or timm into a module of `build`; the classifier stays as it was built
    where the numbers of classes differ. Raises InputError for weights of another network."""
    if isinstance(network := described(module), Guest):
        from archsearch.guests.building import load_guest

        return load_guest(module, network, state)
    from archsearch.network.build import Network
    from archsearch.network.pretrained import load_pretrained

    assert isinstance(module, Network)
    return load_pretrained(module, state)


def named(state: Mapping[str, Tensor], network: Described) -> tuple[Described, dict[str, Tensor], str]:
    """A network with the channels and classes that weights of it have, all its tensors by the names of its module, and
    whose names the weights had. Raises InputError for weights of another network."""
    if isinstance(network, Guest):
        from archsearch.guests.building import named as named_of_guest

        return named_of_guest(state, network)
    from archsearch.network.pretrained import named as named_of_grammar

    return named_of_grammar(state, network)


def unnamed(network: Described) -> Described:
    """The network without a label of a person's; a guest's name is no label."""
    return network if isinstance(network, Guest) else network.model_copy(update={"name": None})


def release(network: Described) -> str:
    """Whose module a guest is: `torchvision 0.24.1`; nothing for a network of the grammar."""
    if not isinstance(network, Guest):
        return ""
    from archsearch.guests.libraries import release as release_of

    return release_of(network)


def origin(network: Described) -> str:
    """Whose module a guest is and what was changed in it, in a line; nothing for a network of the grammar."""
    return ", ".join(filter(None, (f"guest: {release(network)}", change(network)))) if release(network) else ""


def change(network: Described) -> str:
    """What was changed in a guest's module, for people; nothing in most, and for a network of the grammar."""
    if not isinstance(network, Guest):
        return ""
    from archsearch.guests.libraries import change as change_of

    return change_of(network)
