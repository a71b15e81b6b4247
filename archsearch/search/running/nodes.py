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
from archsearch.space.many.packing import Gpus

if TYPE_CHECKING:
    from archsearch.space.settings import ResourceSettings

LOOK_EVERY = 2.0  # seconds
ANSWER_WITHIN = 120.0  # seconds that a node has to say what it runs: its first worker process must start
GLANCE = 0.2  # seconds between two looks at the Ray of this machine
SILENCE = 40.0  # seconds without a word from the head
FAREWELL = 5.0  # seconds for the autoscaler to hear that nothing more is wanted
LEAVE = 50.0  # seconds of silence after which a driver that Ray keeps waiting leaves; after 60 Ray ends its process
NOTES = 8  # nodes of which a refusal speaks
ROUNDS = 4  # an autoscaler is asked for no more lanes than would train the trials in so many rounds: a search learns,
MOST_ASKED = 1000  # and for no more than this: more than one driver serves, and each is a bundle of its request


@dataclass(frozen=True, kw_only=True)
class Node:
    """A living node of the cluster; `name` is for people."""

    id: str
    name: str
    cpus: float
    gpus: float
    raylet: tuple[str, int] = ("", 0)  # where Ray's own process of that node listens

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Node:
        """The node of an entry of ray.nodes()."""
        host, address, resources = entry["NodeManagerHostname"], entry["NodeManagerAddress"], entry["Resources"]
        return cls(
            id=entry["NodeID"],
            name=address if host == address else f"{host} ({address})",
            cpus=resources.get("CPU", 0.0),
            gpus=resources.get("GPU", 0.0),
            raylet=(address, entry["NodeManagerPort"]),
        )

    def lanes(self, resources: ResourceSettings) -> int:
        """How many trials the node holds at once."""
        return resources.held(cpus=self.cpus, gpus=self.gpus)


def lanes_on(nodes: Sequence[Node], resources: ResourceSettings, trials: int) -> int:
    """How many trials run at once on these nodes; one at least."""
    return resources.at_once(sum(node.lanes(resources) for node in nodes), trials)


def bundles_of(resources: ResourceSettings, trials: int) -> list[dict[str, float]]:
    """The bundles that an autoscaler is asked for, one for each lane that the search could use."""
    lanes = min(resources.at_once(-(-trials // ROUNDS), trials), MOST_ASKED)
    gpus = {"GPU": resources.gpu_share} if resources.gpu_share else {}
    return [{"CPU": float(resources.threads), **gpus}] * lanes


def alive() -> list[Node]:
    """The living nodes in the order of their ids, so that it is the same each time."""
    return sorted((Node.of(entry) for entry in ray.nodes() if entry["Alive"]), key=lambda node: node.id)


def gpus_of(nodes: Sequence[Node]) -> tuple[list[Gpus], str]:
    """The GPUs that torch can use of each node that has any, and why it cannot use others. torch knows the memory of a
    slice (MIG), and needs no nvidia-smi. The process that asks it ends: no lane may begin where all were seen."""
    task, with_gpus = ray.remote(num_cpus=0, max_calls=1)(_gpus_here), [node for node in nodes if node.gpus]
    usable, problems = list[Gpus](), list[str]()
    for node, answer in [(node, on_node(node, task).remote()) for node in with_gpus]:
        try:
            sizes, problem = ray.get(answer, timeout=ANSWER_WITHIN)
        except Exception as error:
            sizes, problem = [], f"its GPUs could not be asked: {type(error).__name__}"
        if sizes:
            usable.append(Gpus(count=min(node.gpus, len(sizes)), bytes=min(sizes), cpus=node.cpus))
        if problem:
            problems.append(f"node {node.name}: {problem}")
    return usable, "; ".join(problems)


def _gpus_here() -> tuple[list[int], str]:
    """The bytes of each GPU that torch can use here, and why it cannot use others."""
    from archsearch.training.devices import gpus, gpus_problem

    return [gpu.bytes for gpu in gpus()], gpus_problem()


def on_node(node: Node, task: Any) -> Any:
    """The remote function, to run on this node and on no other."""
    return task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))


class OwnNode:
    """The one node of a Ray of our own: this machine."""

    grows = False

    def __init__(self) -> None:
        self._node = alive()

    def admitted(self) -> Sequence[Node]:
        """This machine, always."""
        return self._node

    def want(self, bundles: Sequence[Mapping[str, float]]) -> None:
        """Does nothing: there is no other node to ask for."""

    def has_lost(self, node: str) -> bool:
        """Never: the driver runs on the node."""
        return False

    def stop(self) -> None:
        """Does nothing: no thread watches the node."""


class ClusterNodes:
    """The nodes of somebody's cluster. A thread of its own asks for them, since a question to a head that is gone waits
    until Ray ends the process. So may the driver itself: then another thread says so to `abandon`, which ends it.

    `files` must be readable on a node; `tell` is given a message for each node that comes, goes, or is left out.
    """

    grows = True

    def __init__(self, files: Sequence[str], *, tell: Callable[[str], None], abandon: Callable[[str], object]) -> None:
        self._tell, self._abandon, self._versions = tell, abandon, versions.installed()
        ray.cloudpickle.register_pickle_by_value(versions)  # archsearch may not be there: that is the question
        self._task = ray.remote(num_cpus=0, max_retries=0)(versions.installed)
        self._files = list(files)
        self._pending: dict[str, tuple[Node, Any, float]] = {}
        self._problems: dict[str, str | None] = {}  # why a node gets no trial; None: it does
        self._admitted: tuple[Node, ...] = ()
        self._answered = time.monotonic()
        self._notes: list[str] = []
        self._wants: Sequence[Mapping[str, float]] | None = None
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work, name="archsearch-nodes", daemon=True) for work in (self._watch, self._listen)
        ]

    def compare(self) -> None:
        """Asks every node, waits for their answers and begins to watch. Raises InputError where one differs; one that
        dies meanwhile is left out."""
        until = time.monotonic() + ANSWER_WITHIN
        while True:
            nodes = alive()
            self._look(nodes)
            if not self._pending:
                break
            if time.monotonic() > until:
                for node, _, _ in self._pending.values():
                    self._problems[node.id] = f"no answer within {ANSWER_WITHIN:.0f} s"
                break
            time.sleep(0.1)
        problems = [
            f"node {node.name}: {problem}" for node in nodes if (problem := self._problems.get(node.id)) is not None
        ]
        if problems:
            hidden = f"; and {len(problems) - NOTES} more" if len(problems) > NOTES else ""
            raise refuse(
                "; ".join(problems[:NOTES]) + hidden,
                allowed="on every node the same versions as here, and the images if they are read from disk",
                hint="--runtime-env sends this archsearch to the nodes; install the rest there",
                file="--address",
            )
        self._notes.clear()
        self._answered = time.monotonic()
        for thread in self._threads:
            thread.start()

    def admitted(self) -> Sequence[Node]:
        """The nodes that may get trials now. Raises HeadGone where the head has been silent for too long."""
        while self._notes:
            self._tell(self._notes.pop(0))
        if self._silent() > SILENCE:
            raise HeadGone(self._silence())
        return self._admitted

    def want(self, bundles: Sequence[Mapping[str, float]]) -> None:
        """Lets the cluster's autoscaler, where it has one, make room for these; until `stop`."""
        self._wants = bundles

    def has_lost(self, node: str) -> bool:
        """Whether this node is gone with the worker that was there, whatever Ray said of that: its workers' deaths are
        often heard of before its own. Its raylet is asked, for two seconds."""
        admitted = next((candidate for candidate in self._admitted if candidate.id == node), None)
        for _ in range(4):
            if admitted is None or not _listens(admitted.raylet):
                return True
            time.sleep(0.5)
        return False

    def stop(self) -> None:
        """The driver leaves by itself: the nodes are watched no more, and the autoscaler is asked for none."""
        self._stop.set()
        if self._threads[0].is_alive():
            self._threads[0].join(FAREWELL)

    def _silent(self) -> float:
        return time.monotonic() - self._answered

    def _silence(self) -> str:
        return f"the cluster's head has not answered for {self._silent():.0f} s"

    def _listen(self) -> None:
        """Watches the Ray of this machine: where it is gone, Ray ends the driver, and without a message, at the next
        question to it."""
        own_id = ray.get_runtime_context().get_node_id()
        local = next((node for node in self._admitted if node.id == own_id), None)
        while not self._stop.wait(GLANCE):
            if self._silent() > LEAVE:
                self._abandon(self._silence())
            elif local is not None and not _listens(local.raylet) and not self._stop.is_set():
                self._abandon(f"Ray on this machine, {local.name}, has stopped")

    def _watch(self) -> None:
        requested: Sequence[Mapping[str, float]] | None = None
        while not self._stop.wait(LOOK_EVERY):
            try:
                self._look(alive())
                if self._wants is not requested:
                    requested = _request(self._wants)
            except Exception:  # nobody answers; `admitted` counts the seconds
                continue
            self._answered = time.monotonic()
        if requested:
            with suppress(Exception):  # a head that is gone wants nothing
                _request([])

    def _look(self, nodes: Sequence[Node]) -> None:
        """Asks the nodes that are new, and reads what others have answered."""
        for node in nodes:
            if node.id not in self._problems and node.id not in self._pending:
                self._pending[node.id] = node, on_node(node, self._task).remote(self._files), time.monotonic()
        living = {node.id for node in nodes}
        self._hear(living)
        self._notes += [f"node {node.name} is gone" for node in self._admitted if node.id not in living]
        self._admitted = tuple(node for node in nodes if self._problems.get(node.id, "") is None)

    def _hear(self, living: set[str]) -> None:
        for node, answer, since in list(self._pending.values()):
            ready, _ = ray.wait([answer], timeout=0)
            late = time.monotonic() - since > ANSWER_WITHIN
            if not ready and node.id in living and not late:
                continue
            del self._pending[node.id]
            if node.id not in living:
                continue
            problem = self._difference(answer) if ready else f"no answer within {ANSWER_WITHIN:.0f} s"
            if problem is not None and all(node.id != candidate.id for candidate in alive()):
                continue  # it died meanwhile, and with it the question
            self._problems[node.id] = problem
            self._notes.append(f"node {node.name} " + ("joined" if problem is None else f"gets no trials: {problem}"))

    def _difference(self, answer: Any) -> str | None:
        try:
            installed = ray.get(answer, timeout=1)
        except Exception as error:
            first = str(error).strip().splitlines()[-1][:200]
            return f"its versions could not be read: {type(error).__name__}: {first}"
        return ", ".join(versions.differences(self._versions, installed)) or None


def _request(bundles: Sequence[Mapping[str, float]] | None) -> Sequence[Mapping[str, float]] | None:
    """Asks the autoscaler for these bundles, and returns them. Ray keeps the last request until there is another;
    without an autoscaler nothing comes of it."""
    request_resources(bundles=[dict(bundle) for bundle in bundles or ()])
    return bundles


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True
