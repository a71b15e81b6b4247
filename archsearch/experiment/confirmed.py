"""What confirm.json and a run's result.json hold, field by field: so that no reader meets a value of a type that it
does not expect, whoever wrote the files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from archsearch.experiment import shapes
from archsearch.experiment.folder import ExperimentFolder
from archsearch.experiment.objective import ACCURACY, BY_ACCURACY, Objective
from archsearch.experiment.suggested import command, command_of
from archsearch.reading.errors import refuse
from archsearch.reading.files import LARGEST_JSON

FEWEST_SEEDS = 3  # that an interval is shown of: that of two is thirteen deviations wide to each side


def _or_null(test: shapes.Test, value: Any) -> bool:
    return value is None or test(value)


def _is_share(value: Any) -> bool:
    return shapes.is_number(value) and 0 <= value <= 1


def _is_positive(value: Any) -> bool:
    return shapes.is_count(value) and value > 0


def _holds(fields: shapes.Fields, value: Any) -> bool:
    return shapes.is_object(value) and shapes.mismatch(value, fields) is None


_DIFFERENCE: shapes.Fields = {
    "mean": shapes.is_number,
    **dict.fromkeys(("low", "high", "half", "deviation"), partial(_or_null, shapes.is_number)),
    "n": _is_positive,
    "values": partial(shapes.optional, partial(shapes.list_of, shapes.is_number)),
}
_interval = partial(_holds, _DIFFERENCE)
_difference = partial(_holds, {
    "of": shapes.is_text,
    "over": shapes.is_text,
    **dict.fromkeys(("validation", "test"), partial(_or_null, partial(_holds, _DIFFERENCE))),
    "told_apart": shapes.is_bool,
    "p": partial(shapes.optional, _is_share),
})  # fmt: skip
_power = partial(_holds, {
    **dict.fromkeys(("seeds", "comparisons"), _is_positive),
    **dict.fromkeys(("probability", "lead", "deviation"), shapes.is_number),
    "more_seeds": partial(shapes.optional, _is_positive),
})  # fmt: skip
_row = partial(_holds, {
    "kind": partial(shapes.matches, "trial|random|baseline|pretrained"),
    "name": shapes.is_text,
    "winner": shapes.is_bool,
    "trial": partial(shapes.optional, shapes.is_count),
    "digest": shapes.is_digest,
    **dict.fromkeys(("params", "flops", "macs"), shapes.is_count),
    "note": shapes.is_text,
    "training": partial(shapes.optional, shapes.is_choices),
    "initial": partial(shapes.optional, partial(_holds, {"source": shapes.is_text, "sha256": shapes.is_sha256})),
    **dict.fromkeys(("validation", "test"), partial(_or_null, _interval)),
})  # fmt: skip


def _are_rows(value: Any) -> bool:
    """Rows of which one is the winner's, with its interval on validation."""
    return shapes.list_of(_row, value) and [row.get("validation") is not None for row in value if row["winner"]] == [
        True
    ]


_DOCUMENT: shapes.Fields = {
    "state": partial(shapes.matches, "chosen|confirmed"),
    "metric": partial(shapes.optional, shapes.is_metric),
    "winner": shapes.is_text,
    "weights_of_seed": partial(shapes.optional, shapes.is_count),
    "chosen": shapes.is_text,
    "rows": _are_rows,
    "differences": partial(shapes.list_of, _difference),
    "confidence": _is_share,
    "notes": partial(shapes.list_of, shapes.is_text),
    "seeds": partial(shapes.list_of, shapes.is_count),
    "folds": partial(shapes.optional, _is_positive),
    "random": partial(shapes.optional, shapes.is_object),
    "power": partial(shapes.optional, _power),
    "pretrained": partial(shapes.optional, shapes.is_verdict),
    "search": shapes.is_object,
}
_RESULT: shapes.Fields = {
    "digest": shapes.is_digest,
    "seed": shapes.is_count,
    "epochs": shapes.is_count,
    "folder": shapes.is_text,
    "device": shapes.is_text,
    "precision": partial(shapes.matches, "float32|bfloat16"),
    "seconds": shapes.is_number,
    "validation": shapes.is_object,
    "test": partial(_or_null, shapes.is_object),
    "weights": partial(_holds, {"sha256": shapes.is_sha256}),
}


def read_confirmation(folder: ExperimentFolder) -> dict[str, Any] | None:
    """What `archsearch confirm` wrote into confirm.json; None where it did not run.

    Raises InputError, naming the field, for what it does not write."""
    path = folder.confirmation.document
    try:
        document: Any = shapes.decoded(folder.read_bytes(path, LARGEST_JSON).decode(), deep=True)
        _check(document, _DOCUMENT)
        _check_means(document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise refuse(
            f"the confirmation is damaged: {getattr(error, 'strerror', None) or error}",
            allowed="a file written by archsearch confirm",
            hint=f"`{command_of(folder, 'confirm')}` writes it again",
            file=str(path),
        ) from error
    for row in (*document["rows"], *document["differences"]):
        for interval in filter(None, (row["validation"], row["test"])):
            if interval["n"] < FEWEST_SEEDS:  # older versions wrote intervals of two
                interval.update(dict.fromkeys(("low", "high", "half", "deviation")))
    return dict(document)


def _check_means(document: Mapping[str, Any]) -> None:
    """Raises ValueError where a mean is none that the metric can have."""
    means = [split["mean"] for row in document["rows"] for split in (row["validation"], row["test"]) if split]
    if Objective.of(document).percent and not all(map(_is_share, means)):
        raise ValueError("its rows")


def export_of_pretrained(folder: ExperimentFolder, verdict: Mapping[str, Any] | None) -> str | None:
    """The command that exports the fine-tuned pretrained network, where a confirmation's verdict is that it is better
    than the search's; None else."""
    if verdict is None or not verdict["better"] or verdict["run"] is None:
        return None
    return command("export", folder.path / verdict["run"], "-o", "bundle")


def check_result(document: Any, objective: Objective = BY_ACCURACY) -> None:
    """Raises ValueError, naming the field, where a training's result.json does not hold what archsearch writes, or not
    the objective's metric, which test images may not define."""
    _check(document, _RESULT)
    for split in ("validation", "test"):
        try:
            unknown = document[split] is None or _undefined(split, document[split], objective)
            value = None if unknown else objective.of_result(document[split])
        except (KeyError, TypeError, ValueError):
            value = math.nan
        if value is not None and not (_is_share if objective.percent else shapes.is_number)(value):
            raise ValueError(f"its {split}")


def _undefined(split: str, measured: Mapping[str, Any], objective: Objective) -> bool:
    """Whether it is a test split whose images do not define the metric; they always define accuracy."""
    return split == "test" and objective.name != ACCURACY and objective.name not in measured


def _check(document: Any, fields: shapes.Fields) -> None:
    field = shapes.mismatch(document, fields) if shapes.is_object(document) else "data is not a mapping"
    if field is not None:
        raise ValueError(f"its {field}")
