"""The nodes of a Ray: who may get trials, and whether the head still answers.

A node of somebody's cluster gets trials once it has said that it runs the driver's versions, and has the images where
they are read from disk. It is asked when the search begins, or when it joins.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from archsearch.reading.errors import refuse
from archsearch.search.running import versions
from archsearch.search.running.environment import HeadGone
from archsearch.search.running.packing import Gpus

if TYPE_CHECKING:
    from archsearch.space.settings import ResourceSettings

LOOK_EVERY = 2.0  # seconds
ASKED_FOR = 120.0  # seconds that a node has to say what it runs: its first worker process must start
GLANCE = 0.2  # seconds between two looks at the Ray of this machine
SILENCE = 40.0  # seconds without a word from the head
FAREWELL = 5.0  # seconds for the autoscaler to hear that nothing more is wanted
LEAVE = 50.0  # seconds of silence after which a driver that Ray keeps waiting leaves; after 60 Ray ends its process
NOTES = 8  # nodes of which a refusal speaks
ROUNDS = 4  # an autoscaler is asked for no more lanes than would train the trials in so many rounds: a search learns


@dataclass(frozen=True, kw_only=True)
class Node:
    """A living node; `name` is for people."""

    id: str
    name: str
    cpus: float
    gpus: float
    raylet: tuple[str, int] = ("", 0)  # where Ray's own process of that node listens

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Node:
        """From an entry of ray.nodes()."""
        name, address, have = found["NodeManagerHostname"], found["NodeManagerAddress"], found["Resources"]
        known = address if name == address else f"{name} ({address})"
        raylet = address, found["NodeManagerPort"]
        return cls(id=found["NodeID"], name=known, cpus=have.get("CPU", 0.0), gpus=have.get("GPU", 0.0), raylet=raylet)

    def lanes(self, resources: ResourceSettings) -> int:
        """How many trials it holds at once."""
        return resources.held(cpus=self.cpus, gpus=self.gpus)


def lanes_on(nodes: Sequence[Node], resources: ResourceSettings, trials: int) -> int:
    """How many trials run at once on these nodes; one at least."""
    return resources.at_once(sum(node.lanes(resources) for node in nodes), trials)


def bundles_of(resources: ResourceSettings, trials: int) -> list[dict[str, float]]:
    """What an autoscaler is asked for: each of the lanes that the search could use."""
    lanes = resources.at_once(-(-trials // ROUNDS), trials)
    gpus = {"GPU": resources.gpu_share} if resources.gpu_share else {}
    return [{"CPU": float(resources.cpus_per_trial), **gpus}] * lanes


def alive() -> list[Node]:
    """In the order of their ids, so that it is the same each time."""
    return sorted((Node.of(found) for found in ray.nodes() if found["Alive"]), key=lambda node: node.id)


def gpus_of(nodes: Sequence[Node]) -> list[Gpus]:
    """What those of the nodes have that have any, asked on each; nothing of a node that cannot say."""
    ray.cloudpickle.register_pickle_by_value(versions)
    ask, with_gpus = ray.remote(num_cpus=0)(versions.gpu_bytes), [node for node in nodes if node.gpus]
    at = [NodeAffinitySchedulingStrategy(node.id, soft=False) for node in with_gpus]
    said = ray.get([ask.options(scheduling_strategy=where).remote() for where in at], timeout=ASKED_FOR)
    found = zip(with_gpus, said, strict=True)
    return [Gpus(count=node.gpus, bytes=size, cpus=node.cpus) for node, size in found if size]


class OwnNode:
    """The one node of a Ray of our own: this machine."""

    def __init__(self) -> None:
        self._node = alive()

    def admitted(self) -> Sequence[Node]:
        """It, always."""
        return self._node

    def want(self, bundles: Sequence[Mapping[str, float]]) -> None:
        """There is no other."""

    def has_lost(self, node: str) -> bool:
        """It is where the driver is."""
        return False

    def stop(self) -> None:
        """Nothing watches it."""


class ClusterNodes:
    """The nodes of somebody's cluster. A thread of its own asks for them, since a question to a head that is gone waits
    until Ray ends the process. So may the driver itself: then another thread says so to `abandon`, which ends it.

    `files` must be readable on a node; `tell` hears, in words, of nodes that come, go, or are left out.
    """

    def __init__(self, files: Sequence[str], *, tell: Callable[[str], None], abandon: Callable[[str], object]) -> None:
        self._tell, self._abandon, self._here = tell, abandon, versions.found()
        ray.cloudpickle.register_pickle_by_value(versions)  # archsearch may not be there: that is the question
        self._ask = ray.remote(num_cpus=0, max_retries=0)(versions.found)
        self._files = list(files)
        self._asked: dict[str, tuple[Node, Any, float]] = {}
        self._known: dict[str, str | None] = {}  # why a node gets no trial; None: it does
        self._admitted: tuple[Node, ...] = ()
        self._answered = time.monotonic()
        self._notes: list[str] = []
        self._wants: Sequence[Mapping[str, float]] | None = None
        self._stop = threading.Event()
        self._watcher, self._listener = (
            threading.Thread(target=work, name="archsearch-nodes", daemon=True) for work in (self._watch, self._listen)
        )

    def compare(self) -> None:
        """Asks every node, waits for their answers and begins to watch. Raises InputError where one differs."""
        until, nodes = time.monotonic() + ASKED_FOR, alive()
        while True:
            self._look(nodes)
            if not self._asked:
                break
            if time.monotonic() > until:
                for node, _, _ in self._asked.values():
                    self._known[node.id] = f"no answer within {ASKED_FOR:.0f} s"
                break
            time.sleep(0.1)
        wrong = [f"node {node.name}: {why}" for node in nodes if (why := self._known.get(node.id)) is not None]
        if wrong:
            more = f"; and {len(wrong) - NOTES} more" if len(wrong) > NOTES else ""
            raise refuse(
                "; ".join(wrong[:NOTES]) + more,
                allowed="on every node the versions of this driver, and the images where they are read from disk",
                hint="--runtime-env sends this archsearch to the nodes; the rest is to be installed there",
                file="--address",
            )
        self._notes.clear()
        self._answered = time.monotonic()
        for thread in (self._watcher, self._listener):
            thread.start()

    def admitted(self) -> Sequence[Node]:
        """Those that may get trials now. Raises HeadGone where the head has been silent for too long."""
        while self._notes:
            self._tell(self._notes.pop(0))
        if self._silent() > SILENCE:
            raise HeadGone(self._words())
        return self._admitted

    def want(self, bundles: Sequence[Mapping[str, float]]) -> None:
        """Lets the cluster's autoscaler, where it has one, make room for these; until `stop`."""
        self._wants = bundles

    def has_lost(self, node: str) -> bool:
        """Whether this node is gone with the worker that was there, whatever Ray said of that: its workers' deaths are
        often heard of before its own. Its raylet is asked, for two seconds."""
        known = next((one for one in self._admitted if one.id == node), None)
        for _ in range(4):
            if known is None or not _listens(known.raylet):
                return True
            time.sleep(0.5)
        return False

    def stop(self) -> None:
        """The driver leaves by itself, and what was wanted is wanted no more."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join(FAREWELL)

    def _silent(self) -> float:
        return time.monotonic() - self._answered

    def _words(self) -> str:
        return f"the cluster's head has not answered for {self._silent():.0f} s"

    def _listen(self) -> None:
        """Without the Ray of this machine Ray ends the driver too, and without a word, at its next question to that."""
        here = ray.get_runtime_context().get_node_id()
        own = next((node for node in self._admitted if node.id == here), None)
        while not self._stop.wait(GLANCE):
            if self._silent() > LEAVE:
                self._abandon(self._words())
            elif own is not None and not _listens(own.raylet) and not self._stop.is_set():
                self._abandon(f"the Ray of this machine, {own.name}, is gone")

    def _watch(self) -> None:
        asked: Sequence[Mapping[str, float]] | None = None
        while not self._stop.wait(LOOK_EVERY):
            try:
                self._look(alive())
                if self._wants is not asked:
                    asked = _request(self._wants)
            except Exception:  # nobody answers; `admitted` counts the seconds
                continue
            self._answered = time.monotonic()
        if asked:
            with suppress(Exception):  # a head that is gone wants nothing
                _request([])

    def _look(self, nodes: Sequence[Node]) -> None:
        """Asks those that are new, reads what has been answered."""
        for node in nodes:
            if node.id not in self._known and node.id not in self._asked:
                where = NodeAffinitySchedulingStrategy(node.id, soft=False)
                said = self._ask.options(scheduling_strategy=where).remote(self._files)
                self._asked[node.id] = node, said, time.monotonic()
        living = {node.id for node in nodes}
        self._hear(living)
        self._notes += [f"node {node.name} is gone" for node in self._admitted if node.id not in living]
        self._admitted = tuple(node for node in nodes if self._known.get(node.id, "") is None)

    def _hear(self, living: set[str]) -> None:
        for node, said, asked in list(self._asked.values()):
            ready, _ = ray.wait([said], timeout=0)
            late = time.monotonic() - asked > ASKED_FOR
            if not ready and node.id in living and not late:
                continue
            del self._asked[node.id]
            if node.id not in living:
                continue
            why = self._difference(said) if ready else f"no answer within {ASKED_FOR:.0f} s"
            self._known[node.id] = why
            self._notes.append(f"node {node.name} " + ("joined" if why is None else f"gets no trial: {why}"))

    def _difference(self, said: Any) -> str | None:
        try:
            there = ray.get(said, timeout=1)
        except Exception as error:
            first = str(error).strip().splitlines()[-1][:200]
            return f"it could not say what it runs: {type(error).__name__}: {first}"
        return ", ".join(versions.differences(self._here, there)) or None


def _request(bundles: Sequence[Mapping[str, float]] | None) -> Sequence[Mapping[str, float]] | None:
    """Ray keeps the last request until there is another; without an autoscaler nothing comes of it."""
    request_resources(bundles=[dict(bundle) for bundle in bundles or ()])
    return bundles


def _listens(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=2).close()
    except OSError:
        return False
    return True
