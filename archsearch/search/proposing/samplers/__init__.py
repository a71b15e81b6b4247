"""Who proposes the next trial: one face, `Sampler`, and the samplers behind it. Optuna only in `optuna_adaptor`."""

from archsearch.search.proposing.samplers.face import Field, Sampler
from archsearch.search.proposing.samplers.registry import NAMES, sampler_of

__all__ = ["NAMES", "Field", "Sampler", "sampler_of"]
