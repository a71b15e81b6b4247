"""What each trial gets of the cores and GPUs that there are, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ray

from archsearch.search.running.environment import RayFailed
from archsearch.search.running.nodes import Node, gpus_of
from archsearch.space.many.packing import Gpus, packed
from archsearch.space.placement import PLACED, Placement, placed

if TYPE_CHECKING:
    from archsearch.experiment import Ledger
    from archsearch.space.settings import ResourceSettings
    from archsearch.space.space import SearchSpace


def settle(
    space: SearchSpace,
    images: int,
    nodes: Sequence[Node],
    ledger: Ledger,
    *,
    owned: bool,
    tell: Callable[[str], None],
) -> ResourceSettings:
    """What a trial gets on these nodes, with so many bytes of images; what was settled otherwise than asked is told.
    Where trials train is told too, and noted in the ledger, where that is on GPUs, or was.

    A trial that asks for more than any machine has would wait for ever. On a Ray of our own it gets what this machine
    has; of somebody's cluster too little is an error (RayFailed). Raises InputError where not one trial fits a GPU.
    """
    placement, problem = _placement(space, images, nodes)
    has = ray.cluster_resources()
    resources = placement.applied(space.resources).settled(cpus=has.get("CPU", 1), gpus=has.get("GPU", 0))
    notes = [placement.text] if placement.missing else []
    if resources.cpus_per_trial != space.resources.cpus_per_trial:
        notes.append(f"{resources.cpus_per_trial} cores for cpus_per_trial: {space.resources.cpus_per_trial}")
    if notes and not owned:
        raise RayFailed(f"the cluster has {'; '.join(notes)}; set resources.gpus_per_trial and cpus_per_trial to fit")
    notes += [placement.text] if placement.notable and not placement.missing else []
    for note in notes + ([problem] if problem and placement.gpus_per_trial else []):
        tell(note)
    before = [note.data for note in ledger.events_of(PLACED)]
    if placement.to_dict() != before[-1] if before else placement.notable:
        ledger.note(PLACED, placement.to_dict())
    return resources


def _placement(space: SearchSpace, images: int, nodes: Sequence[Node]) -> tuple[Placement, str]:
    """Where the trials train, and why torch cannot use GPUs of these nodes. They are asked what GPUs they have where
    the file leaves the share of one open."""
    count, usable, problem = sum(node.gpus for node in nodes), list[Gpus](), ""
    if count and space.resources.gpus_per_trial == "auto" and space.training.device != "cpu":
        usable, problem = gpus_of(nodes)
        count = sum(node.count for node in usable)
    placement = placed(
        space.training.device,
        space.resources,
        gpus=count,
        packed=lambda: packed(space, images, usable),
        unusable=problem,
    )
    return placement, problem
