"""The zoo's networks that torchvision and timm publish trained on ImageNet: their names and costs, known offline.

`python -m scripts.pretrained_networks` writes pretrained.json anew, from what the installed libraries list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SIDE = 224  # pixels of the images that the counts are of, with 1,000 classes


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Published weights: `source` as `confirm --pretrained` takes it, the name of their `network` in the zoo, and its
    `params` and `macs` for images of 3x224x224 and 1,000 classes."""

    source: str
    network: str
    params: int
    macs: int


@cache
def pretrained() -> tuple[Pretrained, ...]:
    """One for each network, the smallest first: torchvision's weights where it has some, else timm's."""
    rows = json.loads(files(__package__).joinpath("pretrained.json").read_text())
    return tuple(Pretrained(**row) for row in rows)
