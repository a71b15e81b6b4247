"""Small networks of every link, with statistics that are not those of a fresh one."""

from __future__ import annotations

import torch

from archsearch.architecture.spec import Architecture
from archsearch.network import build
from archsearch.network.build import Network

WORDS = (
    {"link": "residual"},
    {"link": "residual", "activation": "pre"},
    {"link": "residual", "shortcut": "A", "gate": "exclusive"},
    {"link": "plain"},
    {"link": "dense", "growth_rate": 3, "activation": "pre"},
    {"link": "dual_path", "growth_rate": 2, "kind": "bottleneck"},
    {"link": "highway", "kind": "single", "shortcut": "A"},
)


def small(**fields: object) -> Architecture:
    """Two stages of three blocks on images of 8x8."""
    block = {"kind": "basic", **fields}
    stages = [{"depth": 3, "width": 4, "stride": 1, "block": block}, {"depth": 3, "width": 8, "block": block}]
    return Architecture.from_dict({"input": [3, 8, 8], "stem": {"width": 4}, "stages": stages})


def network_of(architecture: Architecture) -> Network:
    """With running statistics and gains that are not those of a fresh network."""
    network = build(architecture, seed=3)
    torch.manual_seed(0)
    network.train()
    for _ in range(3):
        network(torch.randn(16, *architecture.input))
    return network.eval()
