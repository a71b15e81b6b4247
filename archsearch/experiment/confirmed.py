"""What confirm.json and a run's result.json hold, field by field: so that no reader meets a value of a type that it
does not expect, whoever wrote the files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from archsearch.experiment import checks, shapes
from archsearch.experiment.folder import ExperimentFolder
from archsearch.experiment.objective import ACCURACY, BY_ACCURACY, Objective
from archsearch.experiment.suggested import command, command_of
from archsearch.reading.errors import refuse
from archsearch.reading.files import LARGEST_JSON

FEWEST_SEEDS = 3  # that an interval is shown of: that of two is thirteen deviations wide to each side


def _or_null(test: checks.Test, value: Any) -> bool:
    return value is None or test(value)


def _is_share(value: Any) -> bool:
    return checks.is_number(value) and 0 <= value <= 1


def _is_positive(value: Any) -> bool:
    return checks.is_count(value) and value > 0


def _holds(fields: shapes.Fields, value: Any) -> bool:
    return checks.is_object(value) and shapes.mismatch(value, fields) is None


_DIFFERENCE: shapes.Fields = {
    "mean": checks.is_number,
    **dict.fromkeys(("low", "high", "half", "deviation"), partial(_or_null, checks.is_number)),
    "n": _is_positive,
    "values": partial(checks.optional, partial(checks.list_of, checks.is_number)),
}
_interval = partial(_holds, _DIFFERENCE)
_difference = partial(_holds, {
    "of": checks.is_text,
    "over": checks.is_text,
    **dict.fromkeys(("validation", "test"), partial(_or_null, partial(_holds, _DIFFERENCE))),
    "told_apart": checks.is_bool,
    "p": partial(checks.optional, _is_share),
})  # fmt: skip
_power = partial(_holds, {
    **dict.fromkeys(("seeds", "comparisons"), _is_positive),
    **dict.fromkeys(("probability", "lead", "deviation"), checks.is_number),
    "more_seeds": partial(checks.optional, _is_positive),
})  # fmt: skip
_row = partial(_holds, {
    "kind": partial(checks.matches, "trial|random|baseline|pretrained"),
    "name": checks.is_text,
    "winner": checks.is_bool,
    "trial": partial(checks.optional, checks.is_count),
    "digest": checks.is_digest,
    **dict.fromkeys(("params", "flops", "macs"), checks.is_count),
    "note": checks.is_text,
    "training": partial(checks.optional, checks.is_choices),
    "initial": partial(checks.optional, partial(_holds, {"source": checks.is_text, "sha256": checks.is_sha256})),
    **dict.fromkeys(("validation", "test"), partial(_or_null, _interval)),
})  # fmt: skip


def _are_rows(value: Any) -> bool:
    """Rows of which one is the winner's, with its interval on validation."""
    return checks.list_of(_row, value) and [row.get("validation") is not None for row in value if row["winner"]] == [
        True
    ]


_DOCUMENT: shapes.Fields = {
    "state": partial(checks.matches, "chosen|confirmed"),
    "metric": partial(checks.optional, shapes.is_metric),
    "winner": checks.is_text,
    "weights_of_seed": partial(checks.optional, checks.is_count),
    "chosen": checks.is_text,
    "rows": _are_rows,
    "differences": partial(checks.list_of, _difference),
    "confidence": _is_share,
    "notes": partial(checks.list_of, checks.is_text),
    "seeds": partial(checks.list_of, checks.is_count),
    "folds": partial(checks.optional, _is_positive),
    "random": partial(checks.optional, checks.is_object),
    "power": partial(checks.optional, _power),
    "pretrained": partial(checks.optional, shapes.is_verdict),
    "search": checks.is_object,
}
_RESULT: shapes.Fields = {
    "digest": checks.is_digest,
    "seed": checks.is_count,
    "epochs": checks.is_count,
    "folder": checks.is_text,
    "device": checks.is_text,
    "precision": partial(checks.matches, "float32|bfloat16"),
    "seconds": checks.is_number,
    "validation": checks.is_object,
    "test": partial(_or_null, checks.is_object),
    "weights": partial(_holds, {"sha256": checks.is_sha256}),
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
        if value is not None and not (_is_share if objective.percent else checks.is_number)(value):
            raise ValueError(f"its {split}")


def _undefined(split: str, measured: Mapping[str, Any], objective: Objective) -> bool:
    """Whether it is a test split whose images do not define the metric; they always define accuracy."""
    return split == "test" and objective.name != ACCURACY and objective.name not in measured


def _check(document: Any, fields: shapes.Fields) -> None:
    field = shapes.mismatch(document, fields) if checks.is_object(document) else "data is not a mapping"
    if field is not None:
        raise ValueError(f"its {field}")
