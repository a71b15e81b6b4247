"""What each trial gets of the cores and GPUs that there are, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ray

from archsearch.architecture.spec import Architecture
from archsearch.search.deciding.precision import KIND
from archsearch.search.running.environment import RayFailed
from archsearch.search.running.nodes import ANSWER_WITHIN, Node, gpus_of, on_node
from archsearch.space.many.draws import typical
from archsearch.space.many.packing import Gpus, packed
from archsearch.space.placement import PLACED, Placement, placed
from archsearch.space.threads import ENOUGH_TRAININGS, THREADS, Threads, most_threads, readers

if TYPE_CHECKING:
    from archsearch.experiment import Ledger
    from archsearch.space.settings import ResourceSettings, TrainingSettings
    from archsearch.space.space import SearchSpace


def settle(
    space: SearchSpace,
    images: int,
    nodes: Sequence[Node],
    ledger: Ledger,
    *,
    owned: bool,
    tell: Callable[[str], None],
    reads_files: bool = False,
) -> ResourceSettings:
    """What a trial gets on these nodes, with so many bytes of images; what was settled otherwise than asked is told.
    Where trials train is told too, and noted in the ledger, where that is on GPUs, or was; so is the number of a
    trial's threads where the file leaves it open. With `reads_files` images are read from disk as they are trained on.

    A trial that asks for more than any machine has would wait for ever. On a Ray of our own it gets what this machine
    has; of somebody's cluster too little is an error (RayFailed). Raises InputError where not one trial fits a GPU.
    """
    placement, problem = _placement(space, images, nodes)
    has = ray.cluster_resources()
    asked = placement.applied(space.resources)
    if asked.cpus_per_trial == "auto":
        threads = _threads(space, asked, nodes, ledger, tell, reads_files=reads_files)
        asked = asked.model_copy(update={"cpus_per_trial": threads})
    resources = asked.settled(cpus=has.get("CPU", 1), gpus=has.get("GPU", 0))
    notes = [placement.text] if placement.missing else []
    if resources.cpus_per_trial != asked.cpus_per_trial:
        notes.append(f"{resources.cpus_per_trial} cores for cpus_per_trial: {asked.cpus_per_trial}")
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


def _threads(
    space: SearchSpace,
    resources: ResourceSettings,
    nodes: Sequence[Node],
    ledger: Ledger,
    tell: Callable[[str], None],
    *,
    reads_files: bool,
) -> int:
    """The threads of a trial, those of the search's earlier sessions where trials trained on the same kind of device.
    They are noted, and so is a precision that was measured with them; several are told."""
    for noted in reversed(ledger.events_of(THREADS)):
        if noted.data["device"] == resources.device:
            return int(noted.data["threads"])
    if resources.device == "cuda":
        with_gpus = [(node.cpus, node.gpus) for node in nodes if node.gpus]
        count = readers(with_gpus, resources.trials_a_gpu) if reads_files and with_gpus else 1
        choice = Threads.of(count, "they read images from disk for the GPU" if reads_files else "images are in memory")
    else:
        cores = [node.cpus for node in nodes]
        trainings = resources.at_once(sum(int(count) for count in cores), space.search.trials)
        choice = _measured(space, nodes, most_threads(cores, trainings), ledger)
    ledger.note(THREADS, {"device": resources.device, **choice.to_dict()})
    if choice.threads > 1:
        tell(choice.text)
    return choice.threads


def _measured(space: SearchSpace, nodes: Sequence[Node], most: int, ledger: Ledger) -> Threads:
    """At most so many threads, as many as are worth it on the node with the fewest cores for a network of median
    FLOPs."""
    network = typical(space) if most > 1 else None
    if network is None:
        return Threads.of(1, ENOUGH_TRAININGS)
    task = ray.remote(num_cpus=most, max_retries=0)(_choose)
    try:
        answer = on_node(min(nodes, key=lambda node: node.cpus), task).remote(network.to_dict(), space.training, most)
        execution = ray.get(answer, timeout=ANSWER_WITHIN)
    except Exception as error:
        return Threads.of(1, f"others could not be measured: {type(error).__name__}")
    if space.training.precision == "auto" and not ledger.events_of(KIND):
        ledger.note(KIND, {"precision": execution["precision"], "text": execution["text"]})
    return Threads(threads=execution["threads"], text=execution["text"])


def _choose(network: dict[str, Any], settings: TrainingSettings, most: int) -> dict[str, Any]:
    """In a worker: `choose_execution`, as plain values."""
    from archsearch.search.running.worker import load_trainer

    load_trainer()
    from archsearch.training.measuring.threads import choose_execution

    return choose_execution(Architecture.from_dict(network), settings, most=most).to_dict()
