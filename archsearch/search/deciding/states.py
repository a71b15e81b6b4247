"""The states of trainings, as files in the experiment's folder: what a worker made and a later one goes on from.

The ledger holds each state's SHA-256. A worker that shares the driver's disk writes and reads the files itself;
otherwise their bytes travel, and the driver, which does not look inside (that would take torch), does so.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from archsearch.experiment import ExperimentFolder, Ledger, State, Trial, crash_point, number_of

DROPPED = "state_dropped"  # of the ledger's notes: a paused trial's state was deleted, for there was no room
ROOM = 0.95  # of the limit: what remains once there was no room, so that not each state looks for some


class Lost(Exception):
    """A state's file is missing, or is not what was written."""


def write(folder: ExperimentFolder, number: int, epoch: int, data: bytes) -> State:
    """Writes the state of a trial after so many epochs, durable when it returns. Raises OSError."""
    folder.make_trial(number)
    folder.write(folder.state(number, epoch), data)
    return State(trial=number, epoch=epoch, digest=hashlib.sha256(data).hexdigest())


def read(folder: ExperimentFolder, state: State) -> bytes:
    """The bytes of a state. Raises Lost."""
    try:
        data = folder.read_bytes(folder.state(state.trial, state.epoch))
    except OSError as error:
        raise Lost from error
    if hashlib.sha256(data).hexdigest() != state.digest:
        raise Lost
    return data


class States:
    """Keeps trials/ID/state-N.safetensors, a training after N epochs: the last two of each trial, in `limit` bytes all
    together (auto: half of the free disk; None: any number). With `files` workers write and read them."""

    def __init__(
        self, folder: ExperimentFolder, ledger: Ledger, limit: int | Literal["auto"] | None, *, files: bool = False
    ) -> None:
        self._folder, self._ledger, self._files = folder, ledger, files
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="archsearch-states")
        self._written: dict[Path, bytes] = {}  # by the transaction at hand
        self._sizes: dict[int, dict[Path, int]] = {}  # bytes on disk by trial
        self._bytes = 0
        self._limit = limit
        if limit is not None:
            for path in folder.trials.glob("t*/state-*.safetensors"):
                if (number := number_of(path.parent.name)) is not None:
                    self._count(number, path, path.stat().st_size)
        if limit == "auto":
            self._limit = (shutil.disk_usage(folder.path).free + self._bytes) // 2

    def take(self, number: int, epoch: int, state: bytes | State) -> str:
        """The SHA-256 of a state for the ledger. Bytes are written, and the ledger's transaction waits until they are
        durable: the disk works while the next candidate is sought. Earlier states stay: the ledger still names them.
        Where the disk is full, the transaction's end raises OSError."""
        path = self._folder.state(number, epoch)
        if isinstance(state, State):
            crash_point("state-written")
            with suppress(OSError):
                self._count(number, path, path.stat().st_size)
            return state.digest
        self._written[path] = state
        written = self._writer.submit(self._write, number, epoch, state)
        self._count(number, path, len(state))
        digest = hashlib.sha256(state).hexdigest()
        self._ledger.beforehand(written.result)
        self._ledger.afterwards(self._written.clear)
        return digest

    def _write(self, number: int, epoch: int, data: bytes) -> None:
        write(self._folder, number, epoch, data)
        crash_point("state-written")

    def latest(self, trial: Trial) -> tuple[int, bytes | State | None]:
        """(epochs, state): the newest whole state of the trial, or (0, None). What is missing or not what was written
        is noted in the ledger, and the one before it is taken. A file that the worker reads is not looked into here."""
        for state in self._ledger.states(trial.number):
            path = self._folder.state(state.trial, state.epoch)
            if self._files and path.is_file():
                return state.epoch, state
            with suppress(Lost):
                return state.epoch, self._written.get(path) or read(self._folder, state)
            dropped = [event.data["epoch"] for event in self._ledger.events_of(DROPPED, trial=trial.number)]
            reason = "search.states: there was no room for it" if state.epoch in dropped else "missing or damaged"
            self._ledger.note("state_lost", {"epoch": state.epoch, "reason": reason}, trial=trial.number)
        return 0, None

    def discard(self, number: int, epoch: int) -> None:
        """Deletes a state that a worker cannot go on from; the next who looks for it notes that in the ledger."""
        self._remove(number, self._folder.state(number, epoch))

    def keep_within_limit(self, least_promising: Callable[[Iterable[int]], list[int]]) -> None:
        """Where states take more bytes than they may, those of paused trials are deleted once the ledger has noted it:
        first each one's state before the last, then, of the least promising first, the last as well."""
        if self._limit is None or self._limit == "auto" or self._bytes <= self._limit:
            return
        waiting = least_promising(self._sizes)
        for numbers, last in ([n for n in waiting if len(self._sizes[n]) > 1], False), (waiting, True):
            for number in numbers:
                if self._bytes <= ROOM * self._limit:
                    return
                for state in self._ledger.states(number)[0 if last else 1 :]:
                    self._give_up(state)

    def _give_up(self, state: State) -> None:
        path = self._folder.state(state.trial, state.epoch)
        if (size := self._sizes.get(state.trial, {}).get(path)) is not None:
            self._ledger.note(DROPPED, {"epoch": state.epoch, "bytes": size}, trial=state.trial)
            self._count(state.trial, path, 0)
            self._ledger.afterwards(partial(self._remove, state.trial, path))

    def tidy(self, number: int) -> None:
        """Removes the trial's states that the ledger no longer names."""
        self._keep(number, {self._folder.state(number, state.epoch) for state in self._ledger.states(number)})

    def drop(self, number: int) -> None:
        """Removes the trial's states, and its folder where nothing else is in it."""
        self._keep(number, ())
        with suppress(OSError):
            self._folder.trial(number).rmdir()

    def _keep(self, number: int, paths: Collection[Path]) -> None:
        for path in self._folder.states(number):
            if path not in paths:
                self._remove(number, path)

    def _remove(self, number: int, path: Path) -> None:
        self._count(number, path, 0)
        with suppress(OSError):
            path.unlink()

    def _count(self, number: int, path: Path, size: int) -> None:
        """Notes that a file has so many bytes, 0 once it is gone."""
        sizes = self._sizes.setdefault(number, {})
        self._bytes += size - sizes.pop(path, 0)
        if size:
            sizes[path] = size
        elif not sizes:
            del self._sizes[number]
