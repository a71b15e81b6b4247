"""A network that `archsearch train` left in a folder: its weights, and the data of which its result.json tells."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from archsearch.experiment import TrainingFolder
from archsearch.experiment.layout import MODEL
from archsearch.guests.either import Described, digest
from archsearch.reading.errors import InputError
from archsearch.reading.files import read_json
from archsearch.reading.validation import validate
from archsearch.space.settings import DataSettings


def training_folder(source: str | Path) -> TrainingFolder | None:
    """The finished training that lies in the folder `source`, or beside the model.yaml `source`; None where there is
    none."""
    path = Path(source)
    if not path.is_dir() and path.name != MODEL:
        return None
    folder = TrainingFolder(path if path.is_dir() else path.parent)
    return folder if all(file.is_file() for file in (folder.model_yaml, folder.weights, folder.result)) else None


def result_beside(weights: Path, architecture: Described) -> dict[str, Any]:
    """The result.json beside a file of weights; empty where there is none, or it is of another network."""
    try:
        result: dict[str, Any] = read_json(weights.with_name("result.json"))
        return result if result["digest"] == digest(architecture) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def beginnings(starts: Iterable[Any]) -> tuple[dict[str, str | None], ...]:
    """What weights began with, each an `origin` in a line and its `licence` (None: not stated): of `start` in a
    result.json, of a manifest's `began`, or of what an experiment notes of its trained networks. Anything else is left
    out."""
    return tuple(
        {key: start[key] if isinstance(start.get(key), str) else None for key in ("origin", "licence")}
        for start in starts
        if isinstance(start, dict) and isinstance(start.get("origin"), str)
    )


def data_settings(result: dict[str, Any], root: Path | None) -> DataSettings | None:
    """The settings of the images of a training, which lie in `root` (None: where they lay then); None where its result
    does not have them."""
    try:
        settings = validate(DataSettings, dict(result["data"]["settings"]))
    except (InputError, KeyError, TypeError, ValueError):
        return None
    return settings if root is None else settings.model_copy(update={"root": str(root.expanduser().absolute())})
