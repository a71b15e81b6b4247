"""Who proposes the next trial: one protocol, `Sampler`, and the samplers behind it. Optuna only in `optuna_adaptor`."""

from archsearch.search.proposing.samplers.interface import FeasibleSet, Sampler
from archsearch.search.proposing.samplers.registry import NAMES, sampler_of

__all__ = ["NAMES", "FeasibleSet", "Sampler", "sampler_of"]
