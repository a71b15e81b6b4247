"""fvcore's count of a module: the oracle that the plan's counts are held against, and what counts guests."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch.architecture.cost import Cost
from archsearch.architecture.spec import Architecture

if TYPE_CHECKING:
    from torch import nn

ATTENTION = "aten::scaled_dot_product_attention"


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What fvcore counts of one image in eval mode: FLOPs by operator (without those that are zero) and activations, of
    the whole and by the dotted names of modules; and parameters."""

    module: nn.Module
    by_module: Mapping[str, Mapping[str, int]]
    emitted: Mapping[str, int]
    path: str = ""

    @property
    def params(self) -> int:
        """The parameters of the module."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @property
    def activations(self) -> int:
        """Elements that its convolutions and linear layers emit."""
        return int(self.emitted[self.path])

    @property
    def operators(self) -> dict[str, int]:
        """FLOPs by fvcore's names of its operators."""
        return {name: int(count) for name, count in self.by_module[self.path].items() if count}

    def part(self, path: str) -> Traced:
        """The counts of the module of this dotted name alone."""
        return Traced(module=self.module.get_submodule(path), by_module=self.by_module, emitted=self.emitted, path=path)


def traced(module: nn.Module, image: tuple[int, int, int]) -> Traced:
    """Traces one image (channels, height, width) of zeros through a module in eval mode. Attention that is one operator
    counts as its two products of matrices, which fvcore leaves out."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's word to fvcore that its scripting is old
        from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

    for name in ("fvcore", "fvcore.nn.jit_analysis"):
        logging.getLogger(name).setLevel(logging.ERROR)
    zeros = torch.zeros(1, *image)
    flops, activations = FlopCountAnalysis(module, zeros), ActivationCountAnalysis(module, zeros)
    flops.set_op_handle(ATTENTION, _products)
    for analysis in (flops, activations):
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Traced(module=module, by_module=flops.by_module_and_operator(), emitted=activations.by_module())


def _products(inputs: list[Any], outputs: list[Any]) -> Any:
    """FLOPs of attention with queries (..., L, E), keys (..., S, E) and values (..., S, V): L S (E + V) a head."""
    from collections import Counter

    query, key, value = (each.type().sizes() for each in inputs[:3])
    heads = 1
    for size in query[:-2]:
        heads *= size
    return Counter(matmul=heads * query[-2] * key[-2] * (query[-1] + value[-1]))


def counted_by_fvcore(architecture: Architecture) -> Cost:
    """Builds the network and traces one image in eval mode. Seconds, where the plan's count takes milliseconds."""
    from archsearch.network.build import build

    counted = traced(build(architecture).eval(), architecture.input)
    return Cost(params=counted.params, activations=counted.activations, **counted.operators)
