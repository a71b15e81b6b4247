"""The view of a search that MLflow's pages open with: its columns, its order, and its charts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from archsearch.experiment import Trial
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.tracking.translate import EXPERIMENT_TAG, STATE_TAG, key_of, milliseconds

MOST = 24  # parameters that are columns: the view has to fit a tag
AXES = 8  # parameters among the parallel coordinates
_FIRST, _TRAINING, _OTHERS = "archsearch-1", "archsearch-2", "archsearch-3"  # MLflow asks for ids of its sections


def shared_view(
    search: str, parent: str, trials: Sequence[Trial], name: str, created: float, objective: Objective = BY_ACCURACY
) -> str:
    """The saved view of a search, as the JSON that MLflow keeps in a tag of the experiment.

    The runs of this search alone, those of the best value first, with a column for each parameter of the space that one
    of the trials has. `created` is in Unix seconds.
    """
    parameters = list(dict.fromkeys(key for trial in trials for key in trial.choices))
    metric = objective.name
    sections = [(_FIRST, objective.title, True), (_TRAINING, "Training", True), (_OTHERS, "Model metrics", False)]
    state = {
        "searchFilter": f"tags.`{EXPERIMENT_TAG}` = '{search}'",
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": objective.sense == "min",
        "lifecycleFilter": "Active",
        "selectedColumns": [
            *(f"metrics.`{key}`" for key in (metric, f"final_{metric}", objective.test, "params", "flops")),
            *(f"params.`{key_of(key)}`" for key in parameters[:MOST]),
            f"tags.`{STATE_TAG}`",
        ],
        "runsExpanded": {parent: True},
        "compareRunCharts": [
            {"uuid": f"archsearch-{n}", **chart} for n, chart in enumerate(_charts(trials, parameters, objective))
        ],
        "compareRunSections": [
            {"uuid": uuid, "name": title, "display": opened, "isReordered": True} for uuid, title, opened in sections
        ],
        "isAccordionReordered": True,  # else MLflow sorts the sections by their names
    }
    at = milliseconds(created)
    return json.dumps({"name": name, "createdAt": at, "updatedAt": at, "state": json.dumps(state)})


def _charts(trials: Sequence[Trial], parameters: Sequence[str], objective: Objective) -> Iterator[dict[str, Any]]:
    """MLflow's charts, in their order; it adds one for each other metric to the section "Model metrics" itself."""
    metric = objective.name
    yield _line(objective.validation, _FIRST)
    yield {
        "type": "SCATTER", "metricSectionId": _FIRST, "runsCountToCompare": 100,
        "xaxis": {"key": "flops", "type": "METRIC"}, "yaxis": {"key": metric, "type": "METRIC"},
    }  # fmt: skip
    yield {"type": "BAR", "metricSectionId": _FIRST, "metricKey": metric, "runsCountToCompare": 20}
    yield _line(f"best_{metric}", _FIRST)
    common = [key for key in parameters if all(key in trial.choices for trial in trials)]
    varying = [key for key in common if len({str(trial.choices[key]) for trial in trials}) > 1]
    if varying:
        yield {
            "type": "PARALLEL", "metricSectionId": _FIRST, "showAllRuns": True,
            "selectedParams": list(map(key_of, varying[:AXES])), "selectedMetrics": [metric],
        }  # fmt: skip
    for curve in ("train_accuracy", "train_loss", "validation_loss"):
        yield _line(curve, _TRAINING)


def _line(metric: str, section: str) -> dict[str, Any]:
    """A curve as it was measured: without its own settings MLflow smooths it."""
    return {
        "type": "LINE", "metricSectionId": section, "metricKey": metric, "selectedMetricKeys": [metric],
        "xAxisKey": "step", "lineSmoothness": 0, "useGlobalLineSmoothing": False,
    }  # fmt: skip
