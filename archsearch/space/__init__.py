"""Search spaces: what may vary, within what budget, and how a file says so. No torch, no Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archsearch.space.budget import Bound, Budget
    from archsearch.space.choices import Choices, RandomChoices, RecordedChoices, Recorder, Scalar
    from archsearch.space.datasets import DataFacts, class_folders, facts
    from archsearch.space.domains import Choice, Domain, Integers, PerStage, Reals
    from archsearch.space.loading import load_space
    from archsearch.space.parameters import Parameter
    from archsearch.space.reach import Extreme, largest, refuse_if_unreachable, smallest
    from archsearch.space.schema import json_schema
    from archsearch.space.space import SearchSpace

_HOMES = {
    "budget": ("Bound", "Budget"),
    "choices": ("Choices", "RandomChoices", "RecordedChoices", "Recorder", "Scalar"),
    "datasets": ("DataFacts", "class_folders", "facts"),
    "domains": ("Choice", "Domain", "Integers", "PerStage", "Reals"),
    "loading": ("load_space",),
    "schema": ("json_schema",),
    "reach": ("Extreme", "largest", "refuse_if_unreachable", "smallest"),
    "space": ("SearchSpace",),
    "parameters": ("Parameter",),
}

__all__ = [
    "Bound",
    "Budget",
    "Choice",
    "Choices",
    "DataFacts",
    "Domain",
    "Extreme",
    "Integers",
    "Parameter",
    "PerStage",
    "RandomChoices",
    "Reals",
    "RecordedChoices",
    "Recorder",
    "Scalar",
    "SearchSpace",
    "class_folders",
    "facts",
    "json_schema",
    "largest",
    "load_space",
    "refuse_if_unreachable",
    "smallest",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"archsearch.space.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
