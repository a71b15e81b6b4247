"""fvcore's count of a built network: the oracle that the plan's counts are held against."""

from __future__ import annotations

import logging
import warnings

from archsearch.architecture.cost import Cost
from archsearch.architecture.spec import Architecture


def counted_by_fvcore(architecture: Architecture) -> Cost:
    """Builds the network and traces one image in eval mode. Seconds, where the plan's count takes milliseconds."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's word to fvcore that its scripting is old
        from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

    from archsearch.network.build import build

    for name in ("fvcore", "fvcore.nn.jit_analysis"):
        logging.getLogger(name).setLevel(logging.ERROR)
    network, image = build(architecture).eval(), torch.zeros(1, *architecture.input)
    flops, activations = FlopCountAnalysis(network, image), ActivationCountAnalysis(network, image)
    for analysis in (flops, activations):
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_operator = {name: int(count) for name, count in flops.by_operator().items() if count}
        emitted = int(activations.total())
    params = sum(parameter.numel() for parameter in network.parameters())
    return Cost(params=params, activations=emitted, **by_operator)
