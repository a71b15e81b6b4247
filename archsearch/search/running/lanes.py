"""How many lanes there are, and where: Tune asks for new ones as long as a search runs, so that a node that joins late
gets its share, and one that has gone leaves nobody waiting for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ray.tune.search import Searcher

from archsearch.search.running.environment import RayFailed
from archsearch.search.running.nodes import Node

if TYPE_CHECKING:
    from archsearch.search.running.conductor import Conductor
    from archsearch.space.settings import ResourceSettings

NOBODY = 900.0  # seconds without any node that could hold a trial: spot machines may come back


class NodePool(Protocol):
    """The nodes that get lanes; `grows`: others may join."""

    grows: bool

    def admitted(self) -> Sequence[Node]:
        """The nodes that may get lanes now; called several times a second. Raises HeadGone."""
        ...

    def want(self, bundles: Sequence[Mapping[str, float]]) -> None:
        """Asks for room for lanes, of which each needs one of these bundles: more nodes may come for them."""
        ...

    def has_lost(self, node: str) -> bool:
        """Whether the node of that id is gone."""
        ...

    def stop(self) -> None:
        """Ends what watches the nodes, and asks for no more of them."""
        ...


class Lanes(Searcher):
    """Tune's searcher: what it suggests is a lane's node. Asked at each of Tune's steps, it is also where a failure of
    the conductor's is raised: elsewhere Tune would wrap it."""

    def __init__(self, conductor: Conductor, pool: NodePool, resources: ResourceSettings, trials: int) -> None:
        super().__init__()
        self._conductor, self._pool, self._resources = conductor, pool, resources
        self._limit = resources.at_once(trials, trials)
        self._node_of: dict[str, str] = {}  # by the id of Tune's trial
        self._last_room = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles whatever it is given, and nothing is ever restored from that."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The node of one more lane, by its id and its name; None for none now. Raises RayFailed, HeadGone."""
        if self._conductor.failure is not None:
            raise self._conductor.failure
        if self._conductor.over():
            return Searcher.FINISHED
        sites = self._conductor.sites
        nodes = [node for node in self._pool.admitted() if node.lanes(self._resources) and sites.admits(node.id)]
        node = next_node(nodes, Counter(self._node_of.values()), self._resources, self._limit)
        if node is None and (not nodes or all(map(sites.idles, self._node_of))):
            self._wait_for_room()
        else:
            self._last_room = time.monotonic()
        if node is None:
            return None
        self._node_of[trial_id] = node.id
        return {"node": node.id, "name": node.name}

    def _wait_for_room(self) -> None:
        """No lane trains, and none can begin. Raises RayFailed where none will, or none has for long."""
        left_out = "; ".join(f"{site}: {reason}" for site, reason in self._conductor.sites.left_out.items())
        if left_out and not self._pool.grows:
            raise RayFailed(f"no trial can be trained: {left_out}")
        if time.monotonic() - self._last_room > NOBODY:
            raise RayFailed(f"for {NOBODY:.0f} s no node could run a trial" + (f": {left_out}" if left_out else ""))

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """The lane has ended: its node has room for another."""
        self._node_of.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing: the ledger keeps what matters."""

    def restore(self, checkpoint_path: str) -> None:
        """Restores nothing: Tune is never asked to."""


def next_node(nodes: Sequence[Node], lanes: Counter[str], resources: ResourceSettings, limit: int) -> Node | None:
    """The node with the fewest `lanes` (by id) of those with room for one more; None where all are full, or there are
    `limit` lanes. Lanes of nodes that are gone do not count."""
    if sum(lanes[node.id] for node in nodes) >= limit:
        return None
    room = [node for node in nodes if lanes[node.id] < node.lanes(resources)]
    return min(room, key=lambda node: lanes[node.id], default=None)
