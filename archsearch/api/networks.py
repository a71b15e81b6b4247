"""Networks as they are named: by the zoo, by a file, or themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from archsearch import zoo
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import Shape, cost
from archsearch.architecture.memory import training_bytes
from archsearch.architecture.spec import Architecture
from archsearch.experiment.folder import refuse_links_around


def architecture_of(source: str | Path | Architecture) -> Architecture:
    """The network of that name in the zoo, or of that YAML file; an Architecture is returned as it is. Raises
    InputError."""
    if isinstance(source, Architecture):
        return source
    path = Path(source)
    refuse_links_around(path)
    if isinstance(source, Path) or path.is_file() or path.suffix in (".yaml", ".yml") or "/" in source:
        read = Architecture.from_yaml(path)
        return read if read.name else read.model_copy(update={"name": path.stem})
    return zoo.get(source)


def profiled(
    network: Architecture, *, counter: Literal["analytic", "fvcore"] = "analytic", batch: int = 128, name: str = ""
) -> dict[str, Any]:
    """What `archsearch profile --json` prints: the network's costs by this counter, and the bytes at the peak of a
    training step of `batch` images."""
    counted = analytic = cost(network)
    if counter == "fvcore":
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


def zoo_table() -> list[dict[str, Any]]:
    """What `archsearch zoo --json` prints: each network of the literature with its costs, error and source."""
    counts = [(entry, cost(entry.architecture)) for entry in zoo.entries()]
    return [
        {
            "name": entry.name,
            "family": entry.family,
            "input": list(entry.architecture.input),
            "params": counted.params,
            "flops": counted.flops,
            "macs": counted.macs,
            "published_error_percent": entry.published_error_percent,
            "source": entry.source,
        }
        for entry, counted in counts
    ]
