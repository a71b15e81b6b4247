"""The same network, the same digest: what a word does not change does not count."""

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
    words = []
    for field in fields(op):
        value = getattr(op, field.name)
        if field.default is MISSING or value != field.default:
            words.append([field.name, canonical(value) if isinstance(value, Op) else value])
    return [type(op).__name__, *words]


def digest(architecture: Architecture) -> str:
    """Sixteen hex digits over the image, the plan and nothing else."""
    text = json.dumps([architecture.input, canonical(plan(architecture))], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
