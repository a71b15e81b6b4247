"""Metrics of a person's own: functions that come from Python, or that a file names as module:function."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data.images import OwnMetric
from archsearch.reading.errors import refuse
from archsearch.sources import own
from archsearch.space.tasks import METRICS

NAME = r"[a-z][a-z0-9_]{0,60}"
TAKEN = (*METRICS, "loss", "images")
ALLOWED = "functions (outputs, labels) -> number: arrays (N, K) and (N,) or (N, K) of a split"


class ByValue:
    """A metric that reaches other processes with its code, where it is a lambda or a notebook's too."""

    def __init__(self, function: OwnMetric) -> None:
        self.function = function

    def __call__(self, outputs: npt.NDArray[np.float32], labels: npt.NDArray[Any]) -> float:
        """The function's value."""
        return self.function(outputs, labels)

    def __reduce__(self) -> tuple[Any, ...]:
        import cloudpickle  # type: ignore[import-untyped]  # comes with MLflow

        return _restored, (cloudpickle.dumps(self.function),)


def _restored(content: bytes) -> ByValue:
    return ByValue(pickle.loads(content))


def checked(metrics: Mapping[str, Any] | None) -> dict[str, OwnMetric]:
    """Metrics by their names, as Python gives them. Raises InputError for names that are taken, or of other letters,
    and for what cannot be called."""
    for name, function in (metrics or {}).items():
        if not isinstance(name, str) or not re.fullmatch(NAME, name) or name in TAKEN:
            allowed = f"small letters, digits and _, other than {', '.join(TAKEN)}"
            raise refuse(f"a metric of the name {name!r:.80}", allowed=allowed, file="metrics")
        if not callable(function):
            raise refuse(f"the metric {name} is {function!r:.80}", allowed=ALLOWED, file="metrics")
    return {name: ByValue(function) for name, function in (metrics or {}).items()}


def imported(names: Mapping[str, str]) -> dict[str, OwnMetric]:
    """The functions, each module:function, by the metrics' names. Raises InputError for one that the command line did
    not allow, since importing a module runs its code, and for what is not there."""
    functions = {
        name: own.imported(title, key="data.metrics", kind="function", allowed=ALLOWED) for name, title in names.items()
    }
    return checked(functions)
