"""`--set key=value`: one value of a file, set from the command line; the settings of `archsearch train`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from archsearch.reading.document import Document
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.model import StrictModel
from archsearch.reading.validation import validate
from archsearch.reading.yaml import read
from archsearch.space.settings import Cpus, DataSettings, TrainingSettings, data_for
from archsearch.space.space import SearchSpace

_KEY = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


def apply(document: Document, overrides: Sequence[str]) -> Document:
    """The document with every `key=value` set, in order; values are YAML. Errors about them name the override.

    Raises InputError for text that is no `key=value`, a value that is no YAML, and a key below a plain value.
    """
    return reduce(_apply, overrides, document)


def _apply(document: Document, text: str) -> Document:
    origin = f"--set {text}"
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not _KEY.fullmatch(key):
        raise refuse(f"{text!r:.80}", allowed="key=value, such as search.trials=8", file="--set")
    try:
        parsed = read(value)
    except InputError as error:
        raise InputError(*(replace(p, file=origin, line=0, column=0) for p in error.problems)) from None
    if document.data is not None and not isinstance(document.data, dict):
        return document
    return document.with_value(tuple(key.split(".")), parsed.data, origin)


def root_overrides(root: Path | None) -> tuple[str, ...]:
    """The override that --root stands for, for an experiment whose data lies elsewhere now; none without it."""
    return () if root is None else (f"data.root={json.dumps(str(root.expanduser().absolute()))}",)


class TrainResources(StrictModel):
    """What one training gets of the machine."""

    cpus_per_trial: Cpus = "auto"

    @property
    def threads(self) -> int | None:
        """torch's threads; None where a measurement is to choose them."""
        return None if self.cpus_per_trial == "auto" else self.cpus_per_trial


class TrainSettings(StrictModel):
    """The settings that `archsearch train` takes with --set."""

    data: DataSettings
    training: TrainingSettings
    resources: TrainResources = TrainResources()


def read_train_settings(options: dict[str, tuple[str, Any]], sets: list[str]) -> TrainSettings:
    """`options` maps a dotted key to its option and value (None: not given). Raises InputError."""
    document = Document(data={"data": {}, "training": {}}, file="archsearch train")
    for key, (option, value) in options.items():
        if value is not None:
            document = document.with_value(tuple(key.split(".")), value, option)
    document = apply(document, sets)
    settings, recipe = validate(TrainSettings, document), document.data["training"].get("recipe")
    return settings.model_copy(update={"data": data_for(settings.training, settings.data, recipe)})


def kept_text(space: SearchSpace) -> str:
    """The space.yaml of an experiment: with the absolute path of its data, for later verbs may run in another folder,
    and above it what was written for that."""
    data, given = space.data, space.document.data.get("data", {})
    anchored = data.anchored()
    written = given.get("root", data.root)
    if data.name == "digits" or (written == anchored.root and data.file == anchored.file):
        return space.to_yaml()
    names = {"root": written} if data.file is None else {key: given[key] for key in ("root", "file") if key in given}
    notes = "".join(f"# data.{key} was written as {json.dumps(text)}\n" for key, text in names.items())
    return f"{notes}{replace(space, data=anchored).to_yaml()}"
