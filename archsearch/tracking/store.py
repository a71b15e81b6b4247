"""The few things archsearch asks of MLflow, each safe to ask twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote

from archsearch.experiment.objective import ACCURACY
from archsearch.tracking.dataset import DataSet
from archsearch.tracking.translate import EXPERIMENT_TAG, RETRAINED_TAG, SEARCH, TRIAL_TAG, Point

# Tags of an experiment: its pages are those of models and their training, and begin with the search's metric.
_SHOWN = {"mlflow.experimentKind": "custom_model_development"}
_METRIC = "mlflow.experiment.primaryMetric.name"
# Asking again cannot help: the run was deleted by hand, or the store does not take the value.
_FOR_EVER = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"})


def resolve_tracking_uri(explicit: str | None = None) -> str:
    """Explicit, or MLFLOW_TRACKING_URI, or mlruns/mlflow.db below the working directory (which is made)."""
    uri = explicit or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlruns/mlflow.db"
    database = database_path(uri)
    if database is None:
        return uri
    # Absolute: the follower and the server are other processes, and may stand elsewhere.
    return _sqlite(database.absolute())


def _sqlite(database: Path) -> str:
    # SQLAlchemy takes %20 for a blank, so % is written %25. MLflow makes the folder of the path as it is written: that
    # of a path without a slash is the working folder, which is there.
    path = str(database)
    return f"sqlite:///{quote(path, safe='') if '%' in path or '?' in path else path}"


def database_path(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other store. %20 is a blank, as SQLAlchemy has it, but in a folder that
    has that very name."""
    if not uri.startswith("sqlite:///"):
        return None
    text = uri.removeprefix("sqlite:///").partition("?")[0]
    literal, decoded = Path(text), Path(unquote(text))
    is_literal = "/" in text and literal.parent.is_dir() and not decoded.parent.is_dir()
    return literal if is_literal else decoded


def make_database(database: Path) -> None:
    """Makes an SQLite store with MLflow's tables, whole or not at all: one whose tables were half made when a process
    was killed is refused by MLflow for ever. Does nothing where the file exists. Raises OSError."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if database.exists():
        return
    folder = database.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=f".{database.name}-", ignore_cleanup_errors=True) as apart:
        new = Path(apart) / database.name
        SqlAlchemyStore(_sqlite(new), (folder / "artifacts").as_uri()).engine.dispose()
        try:
            os.link(new, database)  # unlike a renaming it never replaces what another process has just made
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            new.rename(database)


def lasting(error: Exception) -> bool:
    """Whether MLflow would refuse the same request for ever."""
    return getattr(error, "error_code", None) in _FOR_EVER


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A run of this search, as the store has it: `started` in milliseconds, of each metric its latest value."""

    run: str
    trial: int
    status: str
    started: int
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


def _found(run: Any) -> FoundRun:
    info, data = run.info, run.data
    return FoundRun(
        run=str(info.run_id),
        trial=int(data.tags.get(TRIAL_TAG, SEARCH)),
        status=info.status,
        started=info.start_time,
        tags=data.tags,
        metrics=data.metrics,
    )


class Store:
    """An MLflow tracking store, within `quiet_mlflow`. Every method may raise what MLflow raises when the store is not
    there."""

    def __init__(self, tracking_uri: str) -> None:
        from mlflow.tracking import MlflowClient

        self._database = database_path(tracking_uri)
        if self._database is not None:
            make_database(self._database)
        self._client = MlflowClient(tracking_uri)

    def experiment(self, name: str, search: str, *, former: str | None = None, metric: str = ACCURACY) -> str:
        """The id of the experiment that holds this search alone, made where there is none: the search's id is among its
        tags. Where another experiment has the name, or one that was deleted, it is name-2.

        `metric` is the one that its pages begin with. `former` is the name of an experiment of many searches, such as
        an earlier archsearch made: where it has runs of this one, they stay there."""
        from mlflow.exceptions import MlflowException

        for experiment in self._client.search_experiments(filter_string=f"tags.`{EXPERIMENT_TAG}` = '{search}'"):
            return str(experiment.experiment_id)
        earlier = self._client.get_experiment_by_name(former) if former else None
        if (
            earlier is not None
            and earlier.lifecycle_stage == "active"
            and self.tagged(earlier.experiment_id, EXPERIMENT_TAG, search) is not None
        ):
            return str(earlier.experiment_id)
        artifacts = None if self._database is None else (self._database.absolute().parent / "artifacts").as_uri()
        candidate, count = name, 1
        while True:
            try:
                return str(
                    self._client.create_experiment(
                        candidate, artifact_location=artifacts, tags={**_SHOWN, _METRIC: metric, EXPERIMENT_TAG: search}
                    )
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            count += 1
            candidate = f"{name}-{count}"

    def experiment_of(self, run: str) -> str | None:
        """The id of the experiment that the run is in; None where there is no such run, or it was deleted."""
        from mlflow.exceptions import MlflowException

        try:
            info = self._client.get_run(run).info
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return str(info.experiment_id) if info.lifecycle_stage == "active" else None

    def runs(self, experiment: str, search: str) -> Iterator[FoundRun]:
        """The active runs of the search and of its trials, oldest first; none of a training after the search."""
        token = None
        condition = f"tags.`{EXPERIMENT_TAG}` = '{search}'"
        while True:
            page = self._client.search_runs(
                [experiment], condition, max_results=1000, order_by=["attributes.start_time"], page_token=token
            )
            for run in page:
                if RETRAINED_TAG not in run.data.tags:
                    yield _found(run)
            token = page.token
            if not token:
                return

    def tagged(self, experiment: str, key: str, value: str) -> FoundRun | None:
        """The active run with this tag; None where there is none."""
        runs = self._client.search_runs([experiment], f"tags.`{key}` = '{value}'", max_results=1)
        return _found(runs[0]) if runs else None

    def create(self, experiment: str, name: str, started: int, tags: Mapping[str, str]) -> str:
        """A new run. The one request that is not safe to ask twice: look for the run first."""
        created = self._client.create_run(experiment, start_time=started, tags=dict(tags), run_name=name)
        return str(created.info.run_id)

    def log(
        self,
        run: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Points, params and tags, in as few requests as MLflow takes."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(p.key, p.value, p.milliseconds, p.step) for p in points]
        parameters = [Param(key, value) for key, value in (params or {}).items()]
        marks = [RunTag(key, value) for key, value in (tags or {}).items()]
        while metrics or parameters or marks:
            self._client.log_batch(run, metrics=metrics[:800], params=parameters[:100], tags=marks[:100])
            metrics, parameters, marks = metrics[800:], parameters[100:], marks[100:]

    def status(self, run: str, status: str, ended: int | None) -> None:
        """RUNNING, SCHEDULED, FINISHED, KILLED or FAILED; `ended` in milliseconds."""
        if ended is None:
            self._client.update_run(run, status=status)
        else:
            self._client.set_terminated(run, status=status, end_time=ended)

    def dataset(self, run: str, dataset: DataSet) -> None:
        """The run's data set, once however often this is called."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        context = [InputTag("mlflow.data.context", "training")]
        self._client.log_inputs(run, [DatasetInput(Dataset(**vars(dataset)), context)])

    def text(self, run: str, text: str, name: str) -> None:
        """A text as an artifact of the run."""
        self._client.log_text(run, text, name)

    def tag_experiment(self, experiment: str, key: str, value: str) -> None:
        """Tags an experiment, unless it says so already."""
        self._client.set_experiment_tag(experiment, key, value)

    def untag(self, run: str, key: str) -> None:
        """Takes a tag from a run that has it."""
        self._client.delete_tag(run, key)

    def delete(self, run: str) -> None:
        """Moves a run to MLflow's bin."""
        self._client.delete_run(run)
