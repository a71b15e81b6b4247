"""Metrics of a person's own: functions that come from Python, or that a file names as module:function.

A search may be by one of them, so that they are recorded in `data.metrics` wherever they come from: a function of a
module as module:function, any other (a lambda, one of a notebook) as from_python:NAME_DIGEST, which has to be given
again in another process.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data.images import ImageSet, OwnMetric
from archsearch.experiment.checks import LARGEST
from archsearch.reading.errors import InputError, Problem, refuse
from archsearch.sources import own
from archsearch.space.search_settings import COSTS
from archsearch.space.tasks import METRICS, OWN_NAME

TAKEN = (*METRICS, *COSTS, "loss", "images")
ALLOWED = "functions (outputs, labels) -> number: arrays (N, K) and (N,) or (N, K) of a split"
FROM_PYTHON = "from_python"
INSTALLED = ("site-packages", "dist-packages")  # folders of modules that every process imports
TRIED = 1_000  # validation images, at most
GIVEN: dict[str, OwnMetric] = {}  # what Python gave in this process, by its title in `data.metrics`


class MetricFailed(InputError):
    """A metric that raised an error, or gave no number."""


class ByValue:
    """A metric, called `name`, that reaches other processes with its code, where it is no installed module's. It is
    called with arrays that cannot be written to, and raises MetricFailed for whatever goes wrong in it."""

    def __init__(self, name: str, function: OwnMetric | None, content: bytes = b"") -> None:
        self.name, self._function, self._content = name, function, content

    @property
    def function(self) -> OwnMetric:
        """The person's function. Raises MetricFailed where this process cannot import what it needs."""
        if self._function is None:
            try:
                self._function = pickle.loads(self._content)
            except Exception as error:
                raise self._failed(f"cannot be loaded by a worker: {type(error).__name__}: {error}") from error
        return self._function

    def __call__(self, outputs: npt.NDArray[np.float32], labels: npt.NDArray[Any]) -> float:
        """The function's value, which may be nan or infinite."""
        function = self.function
        try:
            value = function(_read_only(outputs), _read_only(labels))
        except MemoryError:
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}, line {frame.lineno}"
            raise self._failed(f"raised {type(error).__name__}: {error} ({where})") from error
        try:
            if isinstance(value, str | bytes) or np.ndim(value):
                raise TypeError
            number = float(value)
        except (TypeError, ValueError):
            raise self._failed(f"returned {value!r:.80}", allowed="a number") from None
        if LARGEST <= abs(number) < float("inf"):
            raise self._failed(f"returned {number}", allowed=f"numbers below {LARGEST:.3g}")
        return number

    def _failed(self, text: str, *, allowed: str = "") -> MetricFailed:
        return MetricFailed(Problem(message=f"the metric {self.name} {text}", allowed=allowed, file="data.metrics"))

    def __reduce__(self) -> tuple[Any, ...]:
        return ByValue, (self.name, None, self._content if self._function is None else _pickled(self._function))


def _pickled(function: OwnMetric) -> bytes:
    """The function, with the code of its module unless that is installed."""
    import cloudpickle  # type: ignore[import-untyped]  # comes with MLflow

    module = sys.modules.get(getattr(function, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if module is None or module.__name__ == "__main__" or file is None or _is_installed(file):
        return bytes(cloudpickle.dumps(function))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(function))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _is_installed(file: str) -> bool:
    return not set(INSTALLED).isdisjoint(Path(file).parts) or file.startswith(os.path.dirname(os.__file__))  # noqa: PTH120


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def checked(metrics: Mapping[str, Any] | None) -> dict[str, ByValue]:
    """Metrics by their names, as Python gives them. Raises InputError for names that are taken, or of other letters,
    and for what cannot be called."""
    for name, function in (metrics or {}).items():
        if not isinstance(name, str) or not re.fullmatch(OWN_NAME, name) or name in TAKEN:
            allowed = f"small letters, digits and _, other than {', '.join(TAKEN)}"
            raise refuse(f"a metric of the name {name!r:.80}", allowed=allowed, file="metrics")
        if not callable(function):
            raise refuse(f"the metric {name} is {function!r:.80}", allowed=ALLOWED, file="metrics")
    return {name: ByValue(name, function) for name, function in (metrics or {}).items()}


def recorded(metrics: Mapping[str, Any] | None) -> dict[str, str]:
    """What `data.metrics` says of these functions; this process needs no leave to use them. Raises as `checked`."""
    titles = {name: _title(name, metric.function) for name, metric in checked(metrics).items()}
    GIVEN.update({title: metrics[name] for name, title in titles.items()} if metrics else {})
    return titles


def give(metrics: Mapping[str, Any] | None, titles: Mapping[str, str]) -> None:
    """Has this process use these functions for an experiment's metrics, whose `data.metrics` has the `titles`. Raises
    InputError for metrics that it does not have, and as `checked`."""
    checked(metrics)
    for name, function in (metrics or {}).items():
        if name not in titles:
            allowed = ", ".join(titles) or "none: the search began without"
            raise refuse(f"the metric {name}", allowed=allowed, file="metrics")
        GIVEN[titles[name]] = function


def _title(name: str, function: OwnMetric) -> str:
    module, attribute = str(getattr(function, "__module__", "")), str(getattr(function, "__qualname__", ""))
    if module != "__main__" and attribute and getattr(sys.modules.get(module), attribute, None) is function:
        return f"{module}:{attribute}"
    return f"{FROM_PYTHON}:{name}_{hashlib.sha256(_pickled(function)).hexdigest()[:8]}"


def imported(titles: Mapping[str, str]) -> dict[str, ByValue]:
    """The functions, each module:function, by the metrics' names. Raises InputError for one that the command line did
    not allow, since importing a module runs its code, for what is not there, and for one that came from Python in
    another process."""
    functions = {}
    for name, title in titles.items():
        if title not in GIVEN and title.startswith(f"{FROM_PYTHON}:"):
            raise refuse(
                f"data.metrics: {name} is a function that was given in Python, and is stored in no file",
                hint=f'`archsearch.open(EXPERIMENT).resume(metrics={{"{name}": function}})` in Python (or confirm); a '
                "function of a module is found by --allow-source MODULE:FUNCTION",
                file="data",
            )
        known = GIVEN.get(title)
        functions[name] = known or own.imported(title, key="data.metrics", kind="function", allowed=ALLOWED)
    return checked(functions)


def try_out(images: ImageSet) -> None:
    """Calls every metric of the images once, with random outputs for a few of the validation images. Raises
    MetricFailed, before anything is trained."""
    if not images.metrics:
        return
    labels = images.validation.labels[:TRIED]
    outputs = np.random.default_rng(0).random((len(labels), len(images.classes)), np.float32)
    if images.task == "single_label":
        outputs /= outputs.sum(1, keepdims=True)
    for metric in images.metrics.values():
        metric(outputs, labels)
