"""The digest of a network: equal for equal ops, whatever settings led to them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from archsearch.architecture.composites import Sequence
from archsearch.architecture.ops import Op
from archsearch.architecture.plan import plan

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture


def canonical(op: Op) -> list[Any]:
    """An op as nested lists: its kind, then the fields that differ from their defaults. Names are left out,
    so a new field with a default leaves the digests of yesterday's networks as they were."""
    if isinstance(op, Sequence):
        return ["Sequence", *(canonical(step) for _, step in op.steps)]
    changed = []
    for name, default in _fields(type(op)):  # type: ignore[arg-type]  # mypy takes __hash__ for an instance's
        value = getattr(op, name)
        if default is MISSING or value != default:
            changed.append([name, canonical(value) if isinstance(value, Op) else value])
    return [type(op).__name__, *changed]


@cache
def _fields(kind: type) -> list[tuple[str, Any]]:
    """The names of the fields of ops of this kind, and their defaults."""
    return [(field.name, field.default) for field in fields(kind)]


def digest(architecture: Architecture) -> str:
    """Sixteen hex digits that stand for the input shape and the plan, not for the name or the settings as written."""
    text = json.dumps([architecture.input, canonical(plan(architecture))], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
