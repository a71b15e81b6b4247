"""Reading what people write: strict YAML, counts, and errors that say where, what and what instead.

`validate` needs pydantic and `read` PyYAML, so every name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archsearch.reading.errors import InputError, Problem, refuse
    from archsearch.reading.numbers import format_count, parse_count
    from archsearch.reading.validation import validate
    from archsearch.reading.yaml import Document, read, write

__all__ = [
    "Document",
    "InputError",
    "Problem",
    "format_count",
    "parse_count",
    "read",
    "refuse",
    "validate",
    "write",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    home = {
        "errors": ("InputError", "Problem", "refuse"),
        "numbers": ("format_count", "parse_count"),
        "validation": ("validate",),
        "yaml": ("Document", "read", "write"),
    }
    for module, names in home.items():
        if name in names:
            return getattr(import_module(f"archsearch.reading.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
