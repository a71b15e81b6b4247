"""Latencies that were measured, one JSON object a line, so that no network is measured twice on one device."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from archsearch.architecture.spec import Architecture
from archsearch.space.settings import Precision
from archsearch.training.latency import Latency, device_name, measure
from archsearch.training.loop import resolve_device


class Key(NamedTuple):
    """What a latency is of: the network's digest, and how it was run."""

    digest: str
    device_name: str
    batch: int
    dtype: str
    threads: int


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a book measures; all of its entries under one key are alike."""

    device: str | torch.device = "auto"
    batch: int = 1
    precision: Precision = "float32"
    threads: int | None = None

    def key(self, digest: str) -> Key:
        """Of a network under these terms. Raises InputError for a device that is not there."""
        used = self.threads if self.threads is not None else torch.get_num_threads()
        return Key(digest, device_name(resolve_device(self.device)), self.batch, self.precision, used)


class LatencyBook:
    """A file of latencies. Several processes may share it: a line is appended in one write, under the file's lock, and
    measuring is done under that lock too, so that two measurements never disturb each other.

    A last line that a crash left half written is passed over, and the next one starts behind it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[Key, Latency] = {}
        self._read = 0
        self.refresh()

    def __len__(self) -> int:
        return len(self._known)

    def entries(self) -> dict[Key, Latency]:
        """All that is known, in the order in which it was measured."""
        return dict(self._known)

    def get(self, digest: str, terms: Terms) -> Latency | None:
        """What is known of a network, without measuring."""
        return self._known.get(terms.key(digest))

    def measured(
        self,
        architecture: Architecture,
        terms: Terms,
        *,
        seconds: float = 2.0,
    ) -> Latency:
        """The network's latency: from the book, or measured now and written down. Raises as `measure` does, and
        OSError where the file cannot be written."""
        key = terms.key(architecture.digest)
        if key in self._known:
            return self._known[key]
        with self._locked() as handle:
            self.refresh()
            if key not in self._known:
                latency = measure(
                    architecture,
                    device=terms.device,
                    batch=terms.batch,
                    precision=terms.precision,
                    threads=terms.threads,
                    seconds=seconds,
                )
                self._append(handle, key, latency)
        return self._known[key]

    def refresh(self) -> None:
        """Reads what others have written since."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                data = json.loads(line)
                latency = Latency.from_dict(data)
                self._known[_key(data["digest"], latency)] = latency
            except (ValueError, KeyError, TypeError):
                continue  # the remains of a crash

    def _append(self, handle: int, key: Key, latency: Latency) -> None:
        """One write of a whole line, on disk before it counts; behind a half line, a new one is begun."""
        line = json.dumps({"digest": key.digest, **latency.to_dict()}).encode() + b"\n"
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(handle, line)
        os.fsync(handle)
        self.refresh()

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, open for appending and locked; the system frees the lock however its holder ends."""
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)


def _key(digest: str, latency: Latency) -> Key:
    return Key(digest, latency.device_name, latency.batch, latency.dtype, latency.threads)
