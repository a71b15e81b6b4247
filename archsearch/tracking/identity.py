"""Which search a ledger is in tracking stores: the one whose id it holds, or, in a copy of an experiment's folder whose
original still stands, another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from archsearch.experiment import Ledger


class Standing(NamedTuple):
    """Where a ledger stands: the path of its folder, and `inode`, by which a system tells that very file."""

    path: str
    inode: str

    @classmethod
    def of(cls, ledger: Path) -> Standing:
        """Raises OSError where there is no such file."""
        status = ledger.stat()
        return cls(str(ledger.absolute().parent), f"{status.st_dev}:{status.st_ino}")

    def to_dict(self) -> Mapping[str, str]:
        """For the event of a session; nothing where the path is no text that a ledger may hold."""
        return self._asdict() if self.path.isprintable() else {}


class Identity(NamedTuple):
    """The search's id in tracking stores; `original` is the folder of which this one is a copy that no store knows yet,
    None where it is none."""

    search: str
    original: str | None


def identify(ledger: Path, known: tuple[str, Standing] | None) -> Identity:
    """The identity of the search whose ledger stands here. `known` is what the outbox remembers of it: the id, and
    where the ledger stood; None where there is no outbox: then the ledger's sessions are asked where they ran.

    A folder that was moved keeps its id. A copy's follows from where it stands: it is the same whenever it is asked.
    """
    current = Standing.of(ledger)
    if known is not None and known[1].path == current.path:
        return Identity(known[0], None)
    with Ledger.read(ledger) as opened:
        search, sessions = opened.id, [event.data for event in opened.events_of("began") if "inode" in event.data]
    earlier = [Standing(data["path"], data["inode"]) for data in sessions]
    if known is not None:
        search, earlier = known[0], [known[1]]
    for standing in earlier:
        with suppress(OSError):
            if standing.inode != current.inode and Standing.of(Path(standing.path, ledger.name)) == standing:
                text = "\n".join((search, *current))
                digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
                return Identity(digest[:32], standing.path)
    return Identity(search, None)
