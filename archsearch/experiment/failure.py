"""Why something ended badly: a kind, by which it is decided whether to try again, and a text for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

LONGEST = 500  # characters of a failure in the ledger


@dataclass(frozen=True)
class Failure:
    """Why a trial, a measurement or a test failed.

    `kind` is oom, nan, metric, data, late, crashed, hung or preempted, or the name of the exception for an error of the
    program. In the ledger, and wherever a person reads it, a failure is the line `kind: text`, of 500 characters at
    most; only there is it a string.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"[:LONGEST]

    @classmethod
    def parse(cls, line: str) -> Self:
        """The failure that was written as this line. A line without a colon, such as `interrupted`, is all kind."""
        kind, _, text = line.partition(": ")
        return cls(kind, text)
