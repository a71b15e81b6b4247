"""From `search.sampler` of a search-space file to a sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsearch.reading.errors import refuse
from archsearch.search.proposing.samplers.bayes import Bayes
from archsearch.search.proposing.samplers.evolution import Evolution
from archsearch.search.proposing.samplers.interface import Sampler
from archsearch.search.proposing.samplers.local_search import LocalSearch
from archsearch.search.proposing.samplers.nsga2 import Nsga2
from archsearch.search.proposing.samplers.tpe import Tpe
from archsearch.search.proposing.samplers.uniform import Uniform

KINDS = {
    "random": Uniform,
    "tpe": Tpe,
    "evolution": Evolution,
    "local_search": LocalSearch,
    "nsga2": Nsga2,
    "bayes": Bayes,
}
NAMES = ("auto", *KINDS)
ALLOWED = f"{', '.join(NAMES)}, or a mapping {{optuna: module:Class}}"


def sampler_of(name: str | Mapping[str, Any], *, objectives: int) -> Sampler:
    """The sampler that `name` stands for: one of NAMES, or `{optuna: "module:Class", options: {...}}`.

    `auto` is `bayes`, which was best on both tables of benchmarks/tabular (LOG.md). Raises InputError, with what is
    allowed, for any other name and for a class that is no sampler.
    """
    if isinstance(name, str):
        if name == "auto":
            return Bayes()
        if name not in KINDS:
            raise refuse(f"the sampler {name!r:.80}", allowed=ALLOWED)
        return KINDS[name]()
    options = name.get("options") or {}
    if (
        not isinstance(name.get("optuna"), str)
        or not isinstance(options, Mapping)
        or name.keys() - {"optuna", "options"}
    ):
        raise refuse(f"the sampler {dict(name)!r:.80}", allowed=ALLOWED, hint="options: the class's own arguments")
    from archsearch.search.proposing.samplers.optuna_adaptor import OptunaAdaptor

    return OptunaAdaptor(name["optuna"], options, objectives=objectives)


def random_until(name: str | Mapping[str, Any], *, objectives: int) -> float | None:
    """As long as a sampler knows fewer scores than this, it proposes at random: inf for `random`; None for one of
    Optuna's, of which that is not known."""
    sampler = sampler_of(name, objectives=objectives) if isinstance(name, str) else None
    match sampler:
        case Uniform():
            return float("inf")
        case Evolution(population=enough) | Nsga2(population=enough):
            return enough
        case Tpe(startup=enough) | LocalSearch(startup=enough) | Bayes(startup=enough):
            return enough
    return None
