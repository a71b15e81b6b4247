"""The states of trainings, on the driver's disk: bytes that a worker made and a later one goes on from.

The driver does not look inside (that would take torch): the ledger holds each state's SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from archsearch.experiment import ExperimentFolder, Ledger, State, Trial, crash_point


class States:
    """Writes, reads and deletes trials/ID/state-N.safetensors, a training after N epochs: the last two of each
    trial."""

    def __init__(self, folder: ExperimentFolder, ledger: Ledger) -> None:
        self._folder, self._ledger = folder, ledger
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="archsearch-states")
        self._written: dict[Path, bytes] = {}  # by the transaction at hand

    def write(self, number: int, epoch: int, data: bytes) -> str:
        """Writes a state, and returns its SHA-256 for the ledger, whose transaction waits until it is durable: the disk
        works while the next candidate is sought. Earlier states stay: the ledger still names them. Where the disk is
        full, the transaction's end raises OSError."""
        self._written[self._folder.state(number, epoch)] = data
        written = self._writer.submit(self._write, number, epoch, data)
        digest = hashlib.sha256(data).hexdigest()
        self._ledger.beforehand(written.result)
        self._ledger.afterwards(self._written.clear)
        return digest

    def _write(self, number: int, epoch: int, data: bytes) -> None:
        self._folder.make_trial(number)
        self._folder.write(self._folder.state(number, epoch), data)
        crash_point("state-written")

    def latest(self, trial: Trial) -> tuple[int, bytes | None]:
        """(epochs, state): the newest whole state of the trial, or (0, None). What is missing or not what was written
        is noted in the ledger, and the one before it is taken."""
        for state in self._ledger.states(trial.number):
            data = self._read(state)
            if data is not None:
                return state.epoch, data
            lost = {"epoch": state.epoch, "reason": "missing or damaged"}
            self._ledger.note("state_lost", lost, trial=trial.number)
        return 0, None

    def tidy(self, number: int) -> None:
        """Removes the trial's states that the ledger no longer names."""
        self._keep(number, {self._folder.state(number, state.epoch) for state in self._ledger.states(number)})

    def drop(self, number: int) -> None:
        """Removes the trial's states, and its folder where nothing else is in it."""
        self._keep(number, ())
        with suppress(OSError):
            self._folder.trial(number).rmdir()

    def _read(self, state: State) -> bytes | None:
        path = self._folder.state(state.trial, state.epoch)
        try:
            data = self._written.get(path) or self._folder.read_bytes(path)
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == state.digest else None

    def _keep(self, number: int, paths: Collection[Path]) -> None:
        for path in self._folder.states(number):
            if path not in paths:
                with suppress(OSError):
                    path.unlink()
