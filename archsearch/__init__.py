"""archsearch: the best network of the residual family for your images, within your budget.

`import archsearch` is cheap: every name below is loaded when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from archsearch.version import __version__ as __version__

if TYPE_CHECKING:
    from archsearch import samplers, zoo
    from archsearch.api.analyzing import analyze
    from archsearch.api.degrading import degradation
    from archsearch.api.experiment import Experiment, open
    from archsearch.api.networks import build
    from archsearch.api.predicting import Predictions, predict
    from archsearch.api.search import init, search
    from archsearch.api.shrinking import Shrunk, shrink
    from archsearch.api.spaces import Space, load_space
    from archsearch.api.training import Trained, train
    from archsearch.architecture.block import Block
    from archsearch.architecture.canonical import digest
    from archsearch.architecture.cost import Cost, cost
    from archsearch.architecture.spec import Architecture, Head, Stage, Stem, Survival
    from archsearch.network.published import convert_weights
    from archsearch.reading.errors import InputError
    from archsearch.search.deciding.observer import Observer
    from archsearch.study.distributions import suggest
    from archsearch.study.storage import optuna_study

_HOMES = {
    "Architecture": "archsearch.architecture.spec",
    "Block": "archsearch.architecture.spec",
    "Cost": "archsearch.architecture.cost",
    "Experiment": "archsearch.api.experiment",
    "Head": "archsearch.architecture.spec",
    "InputError": "archsearch.reading.errors",
    "Observer": "archsearch.search.deciding.observer",
    "Predictions": "archsearch.api.predicting",
    "Space": "archsearch.api.spaces",
    "Stage": "archsearch.architecture.spec",
    "Stem": "archsearch.architecture.spec",
    "Survival": "archsearch.architecture.spec",
    "analyze": "archsearch.api.analyzing",
    "degradation": "archsearch.api.degrading",
    "build": "archsearch.api.networks",
    "Trained": "archsearch.api.training",
    "train": "archsearch.api.training",
    "convert_weights": "archsearch.network.published",
    "cost": "archsearch.architecture.cost",
    "digest": "archsearch.architecture.canonical",
    "optuna_study": "archsearch.study.storage",
    "predict": "archsearch.api.predicting",
    "samplers": "archsearch.samplers",
    "search": "archsearch.search",
    "Shrunk": "archsearch.api.shrinking",
    "shrink": "archsearch.api.shrinking",
    "suggest": "archsearch.study.distributions",
    "init": "archsearch.api.search",
    "load_space": "archsearch.api.spaces",
    "open": "archsearch.api.experiment",
    "zoo": "archsearch.zoo",
}

__all__ = [
    "Architecture",
    "Block",
    "Cost",
    "Experiment",
    "Head",
    "InputError",
    "Observer",
    "Predictions",
    "Shrunk",
    "Space",
    "Stage",
    "Stem",
    "Survival",
    "Trained",
    "analyze",
    "build",
    "convert_weights",
    "cost",
    "degradation",
    "digest",
    "init",
    "load_space",
    "open",
    "optuna_study",
    "predict",
    "samplers",
    "search",
    "shrink",
    "suggest",
    "train",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        # With `obj` Python's traceback proposes the nearest name.
        raise AttributeError(f"module 'archsearch' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    if name in ("samplers", "search", "zoo"):  # modules; archsearch.search can be called
        return import_module(f"archsearch.{name}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
