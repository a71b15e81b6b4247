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


class Places(Protocol):
    """Which nodes get lanes."""

    def admitted(self) -> Sequence[Node]:
        """Those that live now; it is asked several times a second. Raises HeadGone."""
        ...

    def want(self, bundles: Sequence[Mapping[str, float]]) -> None:
        """Each of these is what one lane needs; more nodes may come for them."""
        ...

    def has_lost(self, node: str) -> bool:
        """Whether the node of that id is gone."""
        ...

    def stop(self) -> None:
        """Nobody asks any more."""
        ...


class Lanes(Searcher):
    """Tune's searcher: what it suggests is a lane's node. Asked at each of Tune's steps, it is also where a failure of
    the conductor's is raised: elsewhere Tune would wrap it."""

    def __init__(self, conductor: Conductor, places: Places, resources: ResourceSettings, trials: int) -> None:
        super().__init__()
        self._conductor, self._places, self._resources = conductor, places, resources
        self._most = resources.at_once(trials, trials)
        self._at: dict[str, str] = {}
        self._seen = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles whatever it is given; nothing is ever restored from that."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The node of one more lane; None for none now. Raises RayFailed, HeadGone."""
        if self._conductor.failure is not None:
            raise self._conductor.failure
        if self._conductor.over():
            return Searcher.FINISHED
        nodes = [node for node in self._places.admitted() if node.lanes(self._resources)]
        if nodes:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > NOBODY:
            raise RayFailed(f"for {NOBODY:.0f} s no node has been there that could hold a trial")
        chosen = next_place(nodes, Counter(self._at.values()), self._resources, self._most)
        if chosen is None:
            return None
        self._at[trial_id] = chosen.id
        return {"node": chosen.id}

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """The lane is gone."""
        self._at.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        """The ledger keeps what matters."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is ever restored."""


def next_place(nodes: Sequence[Node], taken: Counter[str], resources: ResourceSettings, most: int) -> Node | None:
    """The node with the fewest lanes of those with room for one more; None where all are full, or `most` are there.
    Lanes of nodes that are gone do not count."""
    if sum(taken[node.id] for node in nodes) >= most:
        return None
    room = [node for node in nodes if taken[node.id] < node.lanes(resources)]
    return min(room, key=lambda node: taken[node.id], default=None)
