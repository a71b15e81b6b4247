"""What `train`'s options and --set say of data and training; errors name the option."""

from __future__ import annotations

from typing import Any

from archsearch.architecture.spec import Words
from archsearch.reading import Document, validate
from archsearch.space.overrides import apply
from archsearch.space.settings import DataSettings, TrainingSettings


class TrainWords(Words):
    """The words that --set may set."""

    data: DataSettings
    training: TrainingSettings


def read_words(given: dict[str, tuple[str, Any]], sets: list[str]) -> TrainWords:
    """`given` maps a dotted key to its option and value (None: not given). Raises InputError."""
    document = Document(data={"data": {}, "training": {}}, file="archsearch train")
    for key, (option, value) in given.items():
        if value is not None:
            document = document.with_value(tuple(key.split(".")), value, option)
    return validate(TrainWords, apply(document, sets))
