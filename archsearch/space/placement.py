"""Where the trials of a search train, the one decision: on the GPU exactly where they hold a share of one, which Ray
sets aside for them, else on the CPU. `run`, `check`, `confirm` and `doctor` all ask here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.experiment.records import Event
from archsearch.reading.errors import refuse
from archsearch.space.settings import DeviceName, ResourceSettings

PLACED = "placed"  # of the ledger's notes: `Placement.to_dict`


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Each trial's share of a GPU (0 on the CPU), and a text for people. `missing`: a GPU was asked for, and there is
    none; `notable`: the text says more than that there is none."""

    gpus_per_trial: float
    text: str
    missing: bool = False
    notable: bool = True

    def applied(self, resources: ResourceSettings) -> ResourceSettings:
        """The resources with this share, in place of auto or of one that there is not."""
        return resources.model_copy(update={"gpus_per_trial": self.gpus_per_trial})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        device = self.applied(ResourceSettings()).device
        return {"device": device, "gpus_per_trial": self.gpus_per_trial, "text": self.text}


def placed(
    device: DeviceName,
    resources: ResourceSettings,
    *,
    gpus: float,
    packed: Callable[[], tuple[float, str]] = lambda: (1.0, "1 per GPU"),
    unusable: str = "",
) -> Placement:
    """The placement by `training.device` and the resources, where there are so many GPUs that torch can use.

    `packed` settles `gpus_per_trial: auto`: the share and a text. `unusable` is why torch cannot use a GPU that is
    there. Raises InputError for `training.device: cuda` without a share or without a GPU.
    """
    share = resources.gpus_per_trial
    if device == "cuda" and share == 0:
        raise refuse(
            "training.device is cuda, and with resources.gpus_per_trial: 0 no trial has a GPU",
            allowed="gpus_per_trial: auto or a share of a GPU, or device: auto",
        )
    if device == "cuda" and not gpus:
        raise refuse(f"training.device: cuda, but {unusable or 'there is no GPU here'}", allowed="auto, cpu")
    if device == "cpu" or share == 0:
        key = "training.device: cpu" if device == "cpu" else "resources.gpus_per_trial: 0"
        return Placement(gpus_per_trial=0.0, text=f"trials train on the CPU ({key})", notable=gpus > 0)
    if not gpus:
        missing = share != "auto"
        reason = unusable or ("no GPU for gpus_per_trial: " + str(share) if missing else "no GPU")
        text = f"{reason}; trials train on the CPU"
        return Placement(gpus_per_trial=0.0, text=text, missing=missing, notable=missing or bool(unusable))
    share, how = packed() if share == "auto" else (share, f"{resources.trials_a_gpu} per GPU")
    return Placement(gpus_per_trial=share, text=f"trials train on GPUs, {how}")


def share_in(notes: Sequence[Event], resources: ResourceSettings | None) -> float:
    """Each trial's share of a GPU by the ledger's notes of kind PLACED; without one, as before the first session, by
    the file, where auto counts as none."""
    if notes:
        return float(notes[-1].data["gpus_per_trial"])
    return 0.0 if resources is None or resources.gpus_per_trial == "auto" else resources.gpus_per_trial
