"""From `search.sampler` of a search-space file to a sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from archsearch.experiment.suggested import ALLOWED_SAMPLERS
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.search.proposing.samplers.bayes import Bayes
from archsearch.search.proposing.samplers.evolution import Evolution
from archsearch.search.proposing.samplers.experience import Experience
from archsearch.search.proposing.samplers.interface import Sampler
from archsearch.search.proposing.samplers.local_search import LocalSearch
from archsearch.search.proposing.samplers.uniform import Uniform
from archsearch.space.search_settings import SearchSettings

KINDS = {"random": Uniform, "evolution": Evolution, "local_search": LocalSearch, "bayes": Bayes}
# Optuna's own. A population of its default, 50, has hardly begun when most searches end.
OPTUNA: dict[str, tuple[str, dict[str, Any]]] = {
    "tpe": ("TPESampler", {}),
    "nsga2": ("NSGAIISampler", {"population_size": 20}),
    "nsga3": ("NSGAIIISampler", {"population_size": 20}),
    "gp": ("GPSampler", {}),
    "cmaes": ("CmaEsSampler", {}),
}
NAMES = ("auto", *KINDS, *OPTUNA)
ALLOWED = f"{', '.join(NAMES)}, or a mapping {{optuna: module:Class}}"


def sampler_of(name: str | Mapping[str, Any], *, objectives: int) -> Sampler:
    """The sampler that `name` stands for: one of NAMES, or `{optuna: "module:Class", options: {...}}`.

    `auto` is `bayes`, which was best on every table, with several objectives too (benchmarks/results/regret.md).
    Raises InputError, with what is allowed, for any other name, for a class that is no sampler, and for one of another
    module than Optuna's that was not allowed (`allow`).
    """
    if isinstance(name, str):
        if name == "auto":
            return Bayes()
        if name in KINDS:
            return KINDS[name]()
        if name not in OPTUNA:
            raise refuse(f"the sampler {name!r:.80}", allowed=ALLOWED, hint=did_you_mean(name, NAMES))
        kind, settings = OPTUNA[name]
        name = {"optuna": f"optuna.samplers:{kind}", "options": settings}
    options = name.get("options") or {}
    if (
        not isinstance(name.get("optuna"), str)
        or not isinstance(options, Mapping)
        or name.keys() - {"optuna", "options"}
    ):
        raise refuse(f"the sampler {dict(name)!r:.80}", allowed=ALLOWED, hint="options: the class's own arguments")
    from archsearch.search.proposing.samplers.optuna_adaptor import OptunaAdaptor

    return OptunaAdaptor(name["optuna"], options, objectives=objectives)


def allow(names: Iterable[str]) -> None:
    """From now on these classes, each `module:Class`, may be imported though a file names them: a person says so."""
    ALLOWED_SAMPLERS.update(names)


def sampler_for(search: SearchSettings) -> Sampler:
    """The sampler that a file's `search:` names. Raises InputError as `sampler_of`."""
    sampler = search.sampler if isinstance(search.sampler, str) else search.sampler.to_dict()
    return sampler_of(sampler, objectives=len(search.objectives))


def takes_experience(search: SearchSettings) -> bool:
    """Whether the sampler that is named learns from earlier experiments: `bayes`, with one objective."""
    return search.sampler in ("auto", "bayes") and len(search.objectives) == 1


def random_until(
    name: str | Mapping[str, Any], *, objectives: int, experienced: bool = False
) -> tuple[float | None, Callable[[int], bool] | None]:
    """As long as a sampler knows fewer scores than the number, it proposes at random: inf for `random`; None for
    one of Optuna's, which draws values and not candidates. Where there is a function, the sampler chooses a trial
    nevertheless if that says so of the number of trials before it. `experienced`: with experience."""
    ours = isinstance(name, str) and name not in OPTUNA
    sampler = sampler_of(name, objectives=objectives) if ours else None
    match sampler:
        case Uniform():
            return float("inf"), None
        case Evolution(population=enough) | LocalSearch(startup=enough):
            return enough, None
        case Bayes(startup=enough):
            sampler = replace(sampler, experience=Experience(weights={}) if experienced else None)
            return enough, sampler.is_chosen if objectives == 1 else None
    return None, None
