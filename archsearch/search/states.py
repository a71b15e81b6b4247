"""The states of paused trainings, on the driver's disk: bytes that a worker made and a later one goes on from.

The driver does not look inside (that would take torch): the ledger holds each state's SHA-256.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

from archsearch.experiment import ExperimentFolder, Trial, crash_point, write_atomically


class States:
    """trials/ID/rung-N.safetensors: the training as it was at the rung of N epochs."""

    def __init__(self, folder: ExperimentFolder) -> None:
        self._folder = folder

    def write(self, number: int, rung: int, data: bytes) -> str:
        """Durable when it returns; its SHA-256. The trial's earlier states stay: the ledger still names them."""
        place = self._folder.trial(number)
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(place / _name(rung), data)
        crash_point("state-written")
        return hashlib.sha256(data).hexdigest()

    def read(self, trial: Trial) -> bytes | None:
        """The state at the trial's last rung; None where it is missing, or not what was written."""
        try:
            data = (self._folder.trial(trial.number) / _name(trial.rung)).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == trial.state_digest else None

    def drop(self, number: int, *, keep: int | None = None) -> None:
        """Removes the trial's states but that of the rung `keep`, and its folder where nothing else is in it."""
        place = self._folder.trial(number)
        for path in place.glob("rung-*.safetensors"):
            if keep is None or path.name != _name(keep):
                with suppress(OSError):
                    path.unlink()
        with suppress(OSError):
            place.rmdir()


def _name(rung: int) -> str:
    return f"rung-{rung}.safetensors"
