"""What confirm.json and a run's result.json hold, field by field: so that no reader meets a value of a type that it
does not expect, whoever wrote the files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from archsearch.experiment.folder import ExperimentFolder
from archsearch.experiment.objective import ACCURACY, BY_ACCURACY, Objective
from archsearch.experiment.shapes import (
    Fields,
    Test,
    decoded,
    is_bool,
    is_choices,
    is_count,
    is_digest,
    is_metric,
    is_number,
    is_object,
    is_sha256,
    is_text,
    list_of,
    matches,
    mismatch,
    optional,
)
from archsearch.reading.errors import refuse
from archsearch.reading.files import LARGEST_JSON

FEWEST_SEEDS = 3  # that an interval is shown of: that of two is thirteen deviations wide to each side


def _or_null(test: Test, value: Any) -> bool:
    return value is None or test(value)


def _is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_positive(value: Any) -> bool:
    return is_count(value) and value > 0


def _holds(fields: Fields, value: Any) -> bool:
    return is_object(value) and mismatch(value, fields) is None


_DIFFERENCE: Fields = {
    "mean": is_number,
    **dict.fromkeys(("low", "high", "half", "deviation"), partial(_or_null, is_number)),
    "n": _is_positive,
    "values": partial(optional, partial(list_of, is_number)),
}
_interval = partial(_holds, _DIFFERENCE)
_difference = partial(_holds, {
    "of": is_text,
    "over": is_text,
    **dict.fromkeys(("validation", "test"), partial(_or_null, partial(_holds, _DIFFERENCE))),
    "told_apart": is_bool,
    "p": partial(optional, _is_share),
})  # fmt: skip
_power = partial(_holds, {
    **dict.fromkeys(("seeds", "comparisons"), _is_positive),
    **dict.fromkeys(("probability", "lead", "deviation"), is_number),
    "more_seeds": partial(optional, _is_positive),
})  # fmt: skip
_row = partial(_holds, {
    "kind": partial(matches, "trial|random|baseline"),
    "name": is_text,
    "winner": is_bool,
    "trial": partial(optional, is_count),
    "digest": is_digest,
    **dict.fromkeys(("params", "flops", "macs"), is_count),
    "note": is_text,
    "training": partial(optional, is_choices),
    **dict.fromkeys(("validation", "test"), partial(_or_null, _interval)),
})  # fmt: skip


def _are_rows(value: Any) -> bool:
    """Rows of which one is the winner's, with its interval on validation."""
    return list_of(_row, value) and [row.get("validation") is not None for row in value if row["winner"]] == [True]


_DOCUMENT: Fields = {
    "state": partial(matches, "chosen|confirmed"),
    "metric": partial(optional, is_metric),
    "winner": is_text,
    "weights_of_seed": partial(optional, is_count),
    "chosen": is_text,
    "rows": _are_rows,
    "differences": partial(list_of, _difference),
    "confidence": _is_share,
    "notes": partial(list_of, is_text),
    "seeds": partial(list_of, is_count),
    "folds": partial(optional, _is_positive),
    "random": partial(optional, is_object),
    "power": partial(optional, _power),
    "search": is_object,
}
_RESULT: Fields = {
    "digest": is_digest,
    "seed": is_count,
    "epochs": is_count,
    "folder": is_text,
    "device": is_text,
    "precision": partial(matches, "float32|bfloat16"),
    "seconds": is_number,
    "validation": is_object,
    "test": partial(_or_null, is_object),
    "weights": partial(_holds, {"sha256": is_sha256}),
}


def read_confirmation(folder: ExperimentFolder) -> dict[str, Any] | None:
    """What `archsearch confirm` wrote into confirm.json; None where it did not run.

    Raises InputError, naming the field, for what it does not write."""
    path = folder.confirmation.document
    try:
        document: Any = decoded(folder.read_bytes(path, LARGEST_JSON).decode(), deep=True)
        _check(document, _DOCUMENT)
        _check_means(document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise refuse(
            f"the confirmation is damaged: {getattr(error, 'strerror', None) or error}",
            allowed="a file written by archsearch confirm",
            hint=f"`archsearch confirm {folder.argument}` writes it again",
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
        if value is not None and not (_is_share if objective.percent else is_number)(value):
            raise ValueError(f"its {split}")


def _undefined(split: str, measured: Mapping[str, Any], objective: Objective) -> bool:
    """Whether it is a test split whose images do not define the metric; they always define accuracy."""
    return split == "test" and objective.name != ACCURACY and objective.name not in measured


def _check(document: Any, fields: Fields) -> None:
    field = mismatch(document, fields) if is_object(document) else "data is not a mapping"
    if field is not None:
        raise ValueError(f"its {field}")
