"""What each kind of a ledger's events holds, and its `meta`: so that no reader meets a value of a type that it does not
expect, whoever wrote the file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from archsearch.experiment.checks import (
    ABSENT,
    LARGEST,
    LONGEST_TIME,
    Test,
    is_bool,
    is_choices,
    is_count,
    is_digest,
    is_metrics,
    is_number,
    is_object,
    is_row,
    is_sha256,
    is_text,
    list_of,
    matches,
    optional,
)
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.records import TrialState

Fields = Mapping[str, Test]
_COSTS = ("params", "flops", "macs", "activations")


class Damaged(ValueError):
    """The ledger does not hold what archsearch writes; the message says where."""


def _not_finite(text: str) -> Any:
    raise ValueError(f"the number {text}")


_decode = json.JSONDecoder(parse_constant=_not_finite).decode


def decoded(text: Any, *, deep: bool = False) -> Any:
    """The value of a JSON text. Raises ValueError, also for text that has no encoding, and, where `deep`, for a number
    anywhere in it that is out of range."""
    if type(text) is not str:
        raise ValueError("no text")
    try:
        value = _decode(text)
        if deep or "\\u" in text:  # the writer escapes control characters alone
            _refuse_extremes(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _refuse_extremes(value: Any) -> None:
    match value:
        case str():
            value.encode()
        case Mapping():
            for key, inner in value.items():
                key.encode()
                _refuse_extremes(inner)
        case list():
            for inner in value:
                _refuse_extremes(inner)
        case int() | float() if abs(value) > LARGEST:
            raise ValueError("a number out of range")


def mismatch(data: Mapping[Any, Any], fields: Fields) -> str | None:
    """The first of these fields that does not pass its test; None where all do."""
    return next((field for field, test in fields.items() if not test(data.get(field, ABSENT))), None)


def _is_costs(value: Any) -> bool:
    return type(value) is dict and all(is_number(v) and v >= 0 for v in value.values())


def _is_cost(value: Any) -> bool:
    return _is_costs(value) and all(name in value for name in _COSTS)


def _is_reference(metric: str, value: Any) -> bool:
    return (
        is_object(value)
        and is_text(value.get("name"))
        and all(is_number(value.get(name)) for name in (metric, "flops", "params", "epochs"))
    )


def is_metric(value: Any) -> bool:
    """A search's metric, as `Objective.to_dict` gives it."""
    return (
        type(value) is dict
        and matches("[a-z][a-z0-9_]{0,63}", value.get("name"))
        and value.get("sense") in ("max", "min")
        and is_bool(value.get("percent"))
    )


def _are_counts(value: Any) -> bool:
    return is_object(value) and all(map(is_count, value.values()))


def _is_latency(value: Any) -> bool:
    return value is None or (type(value) is dict and is_number(value.get("median_ms")) and value["median_ms"] > 0)


def _is_carried(value: Any) -> bool:
    return (
        type(value) is dict
        and is_choices(value.get("choices"))
        and _is_cost(value.get("costs"))
        and is_metrics(value.get("curve"))
        and len(value["curve"]) > 0
        and all(re.fullmatch(r"\d{1,9}", epoch) and score is not None for epoch, score in value["curve"].items())
    )


def _is_source(value: Any) -> bool:
    return type(value) is dict and is_text(value.get("name")) and is_count(value.get("trials"))


def _is_weights(value: Any) -> bool:
    return type(value) is dict and all(map(is_number, value.values()))


_text_or_none = partial(optional, is_text)
_number_or_none = partial(optional, is_number)
_is_state = partial(matches, "finished|interrupted|failed")
_rung = {"rung": is_count, "bracket": is_count}
_reason = {"reason": is_text}
_verdict: Fields = {"sentence": is_text, "better": is_bool, "best": _text_or_none, "run": _text_or_none}


def is_verdict(value: Any) -> bool:
    """What a confirmation writes of fine-tuned pretrained networks."""
    return is_object(value) and mismatch(value, _verdict) is None


EVENTS: Mapping[str, Fields] = {
    "began": {
        "versions": partial(optional, is_object),
        "machine": partial(optional, is_object),
        "path": _text_or_none,
        "inode": _text_or_none,
        "images": partial(optional, _are_counts),
        "smaller": partial(optional, partial(list_of, is_text)),
    },
    "ended": {"state": _is_state, "reason": _text_or_none},
    "proposed": {
        "choices": is_choices,
        "architecture": is_object,
        "digest": is_digest,
        "cost": _is_cost,
        "seed": lambda value: is_number(value) and type(value) is int,
    },
    "rejected": {},
    "started": {"resume_epoch": is_count},
    "epoch": {"epoch": lambda value: is_count(value) and value > 0, "metrics": is_metrics},
    "saved": {"epoch": is_count, "digest": is_sha256},
    "requeued": _reason,
    "paused": {"value": is_number, **_rung},
    "promoted": _rung,
    "correlated": {**_rung, "correlation": _number_or_none, "corrected": _number_or_none, "n": is_count},
    "finished": {"value": is_number, "reason": _text_or_none, "weights": partial(optional, is_sha256)},
    "stopped": {"value": is_number, "reason": is_text},
    "failed": _reason,
    "untrained": {"metrics": is_metrics},
    # notes
    "space_changed": {"trials": is_count, "space_yaml": is_text, "differences": partial(list_of, is_text)},
    "precision": {"precision": is_text, "text": _text_or_none},
    "left_out": {"site": is_text, "reason": is_text, "trials": partial(list_of, is_count)},
    "placed": {"device": is_text, "gpus_per_trial": is_number, "text": is_text},
    "threads": {"device": is_text, "threads": lambda value: is_count(value) and value > 0, "text": is_text},
    "no_graph": _reason,
    "test_failed": _reason,
    "test_interrupted": _reason,
    "finishing": {"trials": partial(list_of, is_count), "epochs": is_count, "seed": is_count, "seconds": is_number},
    "predictions": {
        "weights": partial(optional, is_sha256),
        "sha256": partial(optional, is_sha256),
        "reason": partial(optional, is_text),
    },
    "warm_start": {"known": partial(list_of, _is_carried)},
    "first": {"name": is_text, "plain": is_bool, "choices": is_choices, "digest": is_digest},
    "experience": {"sources": partial(list_of, _is_source), "weights": _is_weights},
    "parent": {
        **dict.fromkeys(("source", "origin"), is_text),
        "licence": _text_or_none,
        "sha256": is_sha256,
        "architecture": is_object,
        "free": partial(list_of, partial(is_row, (is_text, is_count))),
        "importance": partial(optional, partial(list_of, partial(is_row, (is_count, is_count, is_number)))),
        "scored": is_bool,
    },
    "latency": {
        "digest": is_digest,
        "choices": is_choices,
        "costs": _is_costs,
        "latency": _is_latency,
        "admitted": is_bool,
    },
}


@lru_cache(64)
def _fields_of(kind: str, objective: Objective) -> Fields:
    """The fields of a kind of event, those of the objective's metric by its names; none of a kind that is unknown."""
    match kind:
        case "tested" | "finish_tested":
            return {objective.test: is_number}
        case "confirmed":
            return {
                "winner": is_text,
                "weights": partial(optional, is_sha256),
                objective.validation: _number_or_none,
                objective.test: _number_or_none,
                "seeds": partial(optional, is_count),
                "folds": partial(optional, is_count),
                "pretrained": partial(optional, is_verdict),
            }
        case "finished_training":
            return {
                "of": partial(matches, "search|finish"),
                "winner": is_text,
                "weights": partial(optional, is_sha256),
                objective.validation: is_number,
                "epochs": is_count,
                "reference": partial(optional, partial(_is_reference, objective.validation)),
            }
    return EVENTS.get(kind, {})


_META: Fields = {
    "id": partial(matches, "[0-9a-f]{32}"),
    "created": is_number,
    "name": _text_or_none,
    "label": _text_or_none,
    "trials": partial(optional, is_count),
    "objectives": partial(optional, is_object),
    "metric": partial(optional, is_metric),
    "space_yaml": _text_or_none,
}
OF_TRIALS = frozenset({"proposed", "started", "epoch", "saved", "requeued", "promoted", *map(str, TrialState)})


_OFTEN = OF_TRIALS | {"correlated", "rejected"}  # every number that is read of them has a test


def check_event(kind: Any, trial: Any, text: Any, objective: Objective = BY_ACCURACY) -> dict[str, Any]:
    """The data of an event of a search with this objective. Raises ValueError where it is not what an event of that
    kind holds."""
    data = decoded(text, deep=kind not in _OFTEN)
    if type(data) is not dict or type(kind) is not str:
        raise ValueError("its data is no mapping")
    if kind in OF_TRIALS and trial is None:
        raise ValueError("it is of no trial")
    if kind == "tested" and trial is None:
        return data  # nobody reads a test of no trial
    if (field := mismatch(data, _fields_of(kind, objective))) is not None:
        raise ValueError(f"its {field}")
    return data


def check_meta(texts: Mapping[Any, Any]) -> dict[str, Any]:
    """The values of `meta`. Raises ValueError."""
    meta = {key: decoded(text, deep=True) for key, text in texts.items()}
    if not all(map(is_text, meta)):
        raise ValueError("a key of its meta")
    if (field := mismatch(meta, _META)) is not None:
        raise ValueError(f"{field} of its meta")
    if not 0 <= meta["created"] < LONGEST_TIME:
        raise ValueError("created of its meta")
    return meta
