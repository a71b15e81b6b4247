"""From the word in a search-space file to a sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsearch.reading.errors import refuse
from archsearch.search.proposing.samplers.bayes import Bayes
from archsearch.search.proposing.samplers.evolution import Evolution
from archsearch.search.proposing.samplers.face import Sampler
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


def sampler_of(word: str | Mapping[str, Any], *, objectives: int) -> Sampler:
    """The sampler that a name stands for, or `{optuna: "module:Class", options: {...}}`: one of Optuna's.

    `auto` is `bayes`, which was best on both tables of benchmarks/tabular (LOG.md). Raises InputError, with what is
    allowed, for any other word and for a class that is no sampler.
    """
    if isinstance(word, str):
        if word == "auto":
            return Bayes()
        if word not in KINDS:
            raise refuse(f"the sampler {word!r:.80}", allowed=ALLOWED)
        return KINDS[word]()
    options = word.get("options") or {}
    if (
        not isinstance(word.get("optuna"), str)
        or not isinstance(options, Mapping)
        or word.keys() - {"optuna", "options"}
    ):
        raise refuse(f"the sampler {dict(word)!r:.80}", allowed=ALLOWED, hint="options: the class's own arguments")
    from archsearch.search.proposing.samplers.optuna_adaptor import OptunaAdaptor

    return OptunaAdaptor(word["optuna"], options, objectives=objectives)


def random_until(word: str | Mapping[str, Any], *, objectives: int) -> float | None:
    """As long as a sampler knows fewer scores than this, it proposes at random: inf for `random`; None for one of
    Optuna's, of which that is not known."""
    sampler = sampler_of(word, objectives=objectives) if isinstance(word, str) else None
    match sampler:
        case None:
            return None
        case Uniform():
            return float("inf")
        case Evolution(population=enough) | Nsga2(population=enough):
            return enough
        case Tpe(startup=enough) | LocalSearch(startup=enough) | Bayes(startup=enough):
            return enough
    return None
