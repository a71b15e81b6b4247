"""Networks as they are named: by the zoo, by a file, or themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from archsearch import zoo
from archsearch.architecture.cost import Shape
from archsearch.architecture.memory import training_bytes
from archsearch.experiment.folder import refuse_links_around
from archsearch.guests.either import Described, cost, digest, read
from archsearch.guests.either import build as build_either
from archsearch.guests.guest import Guest, is_guest_name
from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture
    from archsearch.guests.building import Module
    from archsearch.network.build import Network

FAMOUS = (
    *(
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "wide_resnet50_2",
        "resnext50_32x4d",
        "densenet121",
    ),
    *("seresnet50", "resnet20_cifar", "resnet32_cifar", "resnet44_cifar", "resnet56_cifar", "resnet110_cifar"),
    *("preact_resnet110_cifar", "wrn28_10_cifar", "resnext29_8x64d_cifar", "densenet100_12_cifar"),
)


def network_of(source: str | Path | Described) -> Described:
    """The network of that name in the zoo or in another library (`torchvision:vgg16_bn`), or of that YAML file; what is
    data already is returned as it is. Raises InputError."""
    if isinstance(source, Described):
        return source
    if isinstance(source, str) and is_guest_name(source):
        from archsearch.guests.libraries import named

        return named(source)
    path = Path(source)
    refuse_links_around(path)
    if isinstance(source, Path) or path.is_file() or path.suffix in (".yaml", ".yml") or "/" in source:
        network = read(path)
        return network if network.name else network.model_copy(update={"name": path.stem})
    return zoo.get(source)


@overload
def build(architecture: Architecture, *, seed: int = 0, device: Any = "cpu") -> Network: ...
@overload
def build(architecture: str | Path | Described, *, seed: int = 0, device: Any = "cpu") -> Module: ...
def build(architecture: str | Path | Described, *, seed: int = 0, device: Any = "cpu") -> Module:
    """The nn.Module of an architecture, of a name of the zoo, of `torchvision:NAME` or `timm:NAME` (a library's own
    module), or of a YAML file: images (N, C, H, W) -> scores (N, classes), with new weights drawn from `seed`,
    on a `device` (a torch.device or its name).

    torch's global random state is neither read nor changed. Raises InputError for an unknown name, and where the image
    is too small for the network.
    """
    return build_either(network_of(architecture), seed=seed, device=device)


def _fame(entry: zoo.Entry) -> tuple[int, int]:
    """What sorts the zoo's list: networks that everybody knows, in their order, then others, larger images first."""
    known = FAMOUS.index(entry.name) if entry.name in FAMOUS else len(FAMOUS)
    return known, -entry.architecture.input[1]


def profiled(
    network: Described, *, counter: Literal["analytic", "fvcore"] = "analytic", batch: int = 128, name: str = ""
) -> dict[str, Any]:
    """What `archsearch profile --json` prints: the network's costs by this counter (a guest's by fvcore), and the bytes
    at the peak of a training step of `batch` images."""
    counted = analytic = cost(network)
    if isinstance(network, Guest):
        counter = "fvcore"
    elif counter == "fvcore":
        from archsearch.network.oracle import counted_by_fvcore

        counted = counted_by_fvcore(network)
    memory = training_bytes(
        params=analytic.params,
        saved=analytic.saved,
        largest=analytic.largest,
        batch=batch,
        image=Shape(*network.input).elements,
    )
    return {
        "name": network.name or name,
        "digest": digest(network),
        "input": list(network.input),
        "classes": network.classes,
        **counted.to_dict(),
        "by_operator": counted.by_operator(),
        "counter": counter,
        "memory": memory,
        "batch": batch,
    }


def zoo_table(text: str = "", *, flops: int | None = None, params: int | None = None) -> list[dict[str, Any]]:
    """What `archsearch zoo --json` prints: networks of the literature with their costs, error and source, the best
    known first.

    With `text`, those with it in their name or family; with `flops` and `params`, those of so many at most. Raises
    InputError where there is none.
    """
    counts = [
        (entry, counted)
        for entry in sorted(zoo.entries(), key=_fame)
        if text.lower() in entry.name or text.lower() in entry.family
        for counted in (cost(entry.architecture),)
        if (flops is None or counted.flops <= flops) and (params is None or counted.params <= params)
    ]
    if not counts:
        limits = "" if flops is None and params is None else " within these limits"
        raise refuse(
            f"no listed network has {text!r:.80} in its name or family{limits}" if text else f"no network is{limits}",
            hint=zoo.nearest(text) if text and not limits else "`archsearch zoo` lists them all",
        )
    return [
        {
            "name": entry.name,
            "family": entry.family,
            "input": list(entry.architecture.input),
            "params": counted.params,
            "flops": counted.flops,
            "macs": counted.macs,
            "published_error_percent": entry.published_error_percent,
            "protocol": entry.published.protocol if entry.published else None,
            "error_source": entry.published.source if entry.published else None,
            "source": entry.source,
        }
        for entry, counted in counts
    ]
