"""How many trainings this machine holds at once, and what each of them gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from archsearch.experiment import machine
from archsearch.space.settings import ResourceSettings


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many trainings run at once, with how many torch threads each, on which device; `compiled`: by
    torch.compile."""

    count: int
    threads: int
    device: str
    compiled: bool = False


def slots(
    resources: ResourceSettings, device: str, *, cores: int | None = None, gpus: Callable[[], int] | None = None
) -> Slots:
    """The trainings that this machine holds at once, each with what a trial has: as many as its cores allow; on a
    GPU one, or as many as shares of it. Where trials have no share of a GPU, trainings run on the CPU as those
    did."""
    available = cores or machine.cores()
    if device == "auto":
        device = "cuda" if resources.gpu_share > 0 and (gpus or _gpus)() else "cpu"
    share = min(1.0, resources.gpu_share or 1.0) if device == "cuda" else 0.0
    settled = resources.settled(cpus=available, gpus=1).model_copy(update={"gpus_per_trial": share})
    room = settled.held(cpus=available, gpus=1)
    return Slots(count=settled.at_once(room, room), threads=settled.cpus_per_trial, device=device)


def _gpus() -> int:
    from archsearch.training.devices import gpus

    return len(gpus() or ())
