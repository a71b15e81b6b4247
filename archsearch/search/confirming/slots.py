"""How many trainings this machine holds at once, and what each of them gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archsearch.experiment import Event, Ledger, machine
from archsearch.space.placement import PLACED, placed, share_in
from archsearch.space.settings import DeviceName, ResourceSettings
from archsearch.space.space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many trainings run at once, with how many torch threads each, on which device; `compiled`: by
    torch.compile. `shared_cores` are those that trainings share where the file leaves their threads open, else 0."""

    count: int
    threads: int
    device: str
    shared_cores: int = 0
    compiled: bool = False


def slots(
    resources: ResourceSettings,
    device: DeviceName,
    notes: Sequence[Event] = (),
    *,
    cores: int | None = None,
    gpus: Callable[[], int] | None = None,
) -> Slots:
    """The trainings that this machine holds at once, each with what a trial has: as many as its cores allow; on a
    GPU one, or as many as shares of it. Where trials have no share of a GPU, trainings run on the CPU as those
    did. Of `gpus_per_trial: auto` the search's share holds, by its ledger's notes of kind PLACED. Raises InputError as
    `placed` does."""
    available = cores or machine.cores()
    if resources.gpus_per_trial == "auto" and (share := share_in(notes, resources)):
        resources = resources.model_copy(update={"gpus_per_trial": share})
    settled = placed(device, resources, gpus=(gpus or _gpus)()).applied(resources).settled(cpus=available, gpus=1)
    room = settled.held(cpus=available, gpus=1)
    shared = available if settled.cpus_per_trial == "auto" and settled.device == "cpu" else 0
    return Slots(count=settled.at_once(room, room), threads=settled.threads, device=settled.device, shared_cores=shared)


def slots_of(space: SearchSpace, ledger: Ledger) -> Slots:
    """The trainings that this machine holds at once of a search's networks, each with what its trials had."""
    return slots(space.resources, space.training.device, ledger.events_of(PLACED))


def _gpus() -> int:
    if not machine.has_gpu_driver():
        return 0
    from archsearch.training.devices import gpus

    return len(gpus())
