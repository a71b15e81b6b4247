"""The points of a landscape as they are taken: kept in a file, so that an interrupted one goes on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from archsearch.experiment import write_atomically
from archsearch.reading.files import read_json

SAVE_EVERY = 10.0  # seconds between two writings


@dataclass
class Points:
    """Losses (points, points), nan where they are not known yet, and the file that keeps them (None: none)."""

    values: npt.NDArray[np.float64]
    file: Path | None
    identity: str
    _saved: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, file: Path | None, facts: Mapping[str, Any], network: nn.Module, points: int) -> Points:
        """Those that an earlier call with the same weights and `facts` has left in the file; else none is known."""
        values = np.full((points, points), np.nan)
        state = {name: tensor.cpu().numpy().tobytes() for name, tensor in network.state_dict().items()}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in state.items()}
        identity = hashlib.sha256(json.dumps([dict(facts), digests], sort_keys=True).encode()).hexdigest()
        if file is not None and file.is_file():
            with suppress(OSError, ValueError, KeyError, TypeError):  # it is something else, or damaged
                document = read_json(file)
                known = np.array(document["values"], dtype=float)
                if document["identity"] == identity and known.shape == values.shape:
                    values = known
        return cls(values=values, file=file, identity=identity)

    @property
    def missing(self) -> int:
        """How many are not known."""
        return int(np.isnan(self.values).sum())

    def add(self, row: int, column: int, value: float) -> None:
        """One more, which is written with others once some seconds have passed. One that is no number is infinite."""
        self.values[row, column] = np.inf if np.isnan(value) else value
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Writes them, whole or not at all. Raises OSError."""
        self._saved = time.monotonic()
        if self.file is not None:
            rows = [[None if np.isnan(value) else value for value in row] for row in self.values.tolist()]
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.file, json.dumps({"identity": self.identity, "values": rows}))
