"""Counts as people write them: 40M, 1.2G, 600k."""

from __future__ import annotations

import re
from decimal import Decimal

from archsearch.reading.errors import InputError, Problem

COUNT_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,18})? ?[kKMGT]?$"
COUNT_ALLOWED = "a whole number such as 41000000, 600k, 40M, 1.2G (k 10^3, M 10^6, G 10^9, T 10^12)"

_COUNT = re.compile(COUNT_PATTERN)
_LIMIT = 10**18


def parse_count(value: object) -> int:
    """The whole number that a count stands for, exactly: "1.2G" -> 1200000000.

    Raises InputError for anything else: signs, other letters, and fractions such as 1.2345k.
    """
    exact: Decimal | None = None
    hint = ""
    if isinstance(value, bool):
        pass
    elif isinstance(value, int):
        exact = Decimal(value)
    elif isinstance(value, float) and value.is_integer():
        exact = Decimal(int(value))
    elif isinstance(value, str) and _COUNT.fullmatch(text := value.strip()):
        power = {"k": 3, "K": 3, "M": 6, "G": 9, "T": 12}.get(text[-1], 0)
        exact = Decimal(text.rstrip("kKMGT ")) * 10**power
    elif isinstance(value, str):
        hint = _hint(value.strip())
    if exact is not None and exact == int(exact) and 0 <= exact <= _LIMIT:
        return int(exact)
    raise InputError(Problem(message=f"the count {value!r:.40}", allowed=COUNT_ALLOWED, hint=hint))


def _hint(text: str) -> str:
    letter = {"m": "M", "g": "G", "t": "T", "b": "G", "B": "G"}.get(text[-1:])
    if letter and _COUNT.fullmatch(text[:-1] + letter):
        return f"did you mean {text[:-1]}{letter}?"
    if _COUNT.fullmatch(text.replace(",", "").replace("_", "")):
        return f"write it as {text.replace(',', '').replace('_', '')}"
    return ""


def format_count(count: int) -> str:
    """A count at a glance, and one that `parse_count` reads back exactly: 40M, 1.2G, 812345."""
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if count >= 10**power:
            short = f"{(Decimal(count) / 10**power).normalize():f}"
            return f"{short}{letter}" if len(short.replace(".", "")) <= 4 else str(count)
    return str(count)
