"""The images of a search as a data set that MLflow knows: its name, digest, source, shape and size."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError
from archsearch.reading.yaml import read

FILES = ("folder", "table", "huggingface", "webdataset", "numpy", "idx")  # data that a person's files are
LONGEST_DIGEST, LONGEST_NAME = 36, 500  # characters that MLflow takes


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What MLflow keeps of a data set; `source`, `schema` and `profile` are JSON."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None


def dataset_of(folder: ExperimentFolder, ledger: Ledger) -> DataSet | None:
    """The data set of the search's last session, by what its ledger and space.yaml hold: no image is read. None where
    the ledger does not name it."""
    sessions = [event.data for event in ledger.events_of("began") if isinstance(event.data.get("data"), str)]
    if not sessions or not 0 < len(sessions[-1]["data"]) <= LONGEST_DIGEST:
        return None
    settings = _settings(folder)
    kind, path = _source(settings)
    source_type, source = "local", json.dumps({"uri": str(folder.arrays.absolute() if kind == "arrays" else path)})
    if kind == "digits":
        source_type, source = "code", json.dumps({"tags": {"mlflow.source.name": "sklearn.datasets.load_digits"}})
    counts = sessions[-1].get("images")
    total = {"num_rows": sum(counts.values()), **counts} if isinstance(counts, dict) else None
    trials = ledger.trials()
    shape = trials[0].architecture.get("input") if trials else None
    if shape is not None and isinstance(settings.get("size"), dict):
        shape = [shape[0], -1, -1]
    return DataSet(
        name=(path.name if kind in FILES else kind)[:LONGEST_NAME],
        digest=sessions[-1]["data"],
        source_type=source_type,
        source=source,
        schema=None if shape is None else json.dumps({"mlflow_tensorspec": _tensors(list(shape))}),
        profile=None if total is None else json.dumps(total),
    )


def _settings(folder: ExperimentFolder) -> dict[str, Any]:
    """The data settings of space.yaml; none where it cannot be read."""
    settings: Any = None
    with suppress(InputError, OSError, AttributeError):
        settings = read(folder.read_text(folder.space_yaml)).data.get("data")
    return settings if isinstance(settings, dict) else {}


def _source(settings: dict[str, Any]) -> tuple[str, Path]:
    """Which data, and its folder or file."""
    path = Path(str(settings.get("root", "data")), str(settings.get("file") or ""))
    return str(settings.get("name", "digits")), path.absolute()


def _tensors(shape: list[int]) -> dict[str, str]:
    """MLflow's schema of images (N, C, H, W) and their labels (N,)."""

    def tensor(dtype: str, shape: list[int]) -> str:
        return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}}])

    return {"features": tensor("uint8", shape), "targets": tensor("int64", [])}
