"""Writes archsearch/zoo/pretrained.json: the zoo's networks of which torchvision or timm publish weights, with costs.

`python -m scripts.pretrained_networks` reads what the installed libraries list of themselves; nothing is downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from archsearch import zoo
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.zoo.libraries import LIBRARIES
from archsearch.zoo.pretrained import SIDE

FILE = Path(zoo.__file__).with_name("pretrained.json")
CLASSES = 1000


def published() -> Iterator[tuple[str, str]]:
    """(the text that names the weights, the network's name in the zoo), torchvision's first; of a network with several
    weights the library's default ones, those of timm by their network's name alone."""
    import timm
    from torchvision import models

    for name in LIBRARIES["torchvision"]:
        weights = models.get_model_weights(name).DEFAULT
        yield f"torchvision:{weights}", name
    for name in LIBRARIES["timm"]:
        config = timm.models.get_pretrained_cfg(name) if timm.list_models(f"{name}.*", pretrained=True) else None
        if config is not None and config.num_classes == CLASSES:
            yield f"timm:{name}.{config.tag}", name


def main() -> None:
    """Writes the file and says how many networks it has."""
    rows = {}
    for source, name in published():
        network = zoo.get(name).model_copy(update={"input": (3, SIDE, SIDE), "classes": CLASSES})
        counted = cost(network)
        rows.setdefault(digest(network), {"source": source, "network": name, "params": counted.params,
                                          "macs": counted.macs})  # fmt: skip
    ordered = sorted(rows.values(), key=lambda row: (row["params"], row["source"]))
    FILE.write_text("[\n" + ",\n".join(map(json.dumps, ordered)) + "\n]\n")
    print(f"{len(ordered)} networks, the smallest {ordered[0]['source']}")


if __name__ == "__main__":
    main()
