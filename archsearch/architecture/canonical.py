"""The digest of a network: equal for equal ops, whatever settings led to them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields
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
    for field in fields(op):
        value = getattr(op, field.name)
        if field.default is MISSING or value != field.default:
            changed.append([field.name, canonical(value) if isinstance(value, Op) else value])
    return [type(op).__name__, *changed]


def digest(architecture: Architecture) -> str:
    """Sixteen hex digits that stand for the input shape and the plan, not for the name or the settings as written."""
    text = json.dumps([architecture.input, canonical(plan(architecture))], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
