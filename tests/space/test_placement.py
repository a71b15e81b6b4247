"""Where the trials of a search train: the table of what a file says, and what there is."""

from typing import Any

import pytest

from archsearch.experiment.records import Event
from archsearch.reading.errors import InputError
from archsearch.space.placement import PLACED, placed, share_in
from archsearch.space.settings import ResourceSettings

OLD = "torch cannot use the GPU: the driver is too old"


@pytest.mark.parametrize(
    ("device", "share", "gpus", "settled", "text"),
    [
        ("auto", "auto", 0, 0.0, "no GPU; trials train on the CPU"),
        ("auto", "auto", 8, 0.25, "trials train on GPUs, 4 per GPU: as packed"),
        ("cuda", "auto", 8, 0.25, "trials train on GPUs, 4 per GPU: as packed"),
        ("auto", 0.0, 8, 0.0, "trials train on the CPU (resources.gpus_per_trial: 0)"),
        ("cpu", "auto", 8, 0.0, "trials train on the CPU (training.device: cpu)"),
        ("cpu", 0.5, 8, 0.0, "trials train on the CPU (training.device: cpu)"),
        ("auto", 0.5, 8, 0.5, "trials train on GPUs, 2 per GPU"),
        ("auto", 1.0, 8, 1.0, "trials train on GPUs, 1 per GPU"),
        ("auto", 0.5, 0, 0.0, "no GPU for gpus_per_trial: 0.5; trials train on the CPU"),
    ],
)
def test_a_trial_trains_on_a_gpu_exactly_where_it_has_a_share(
    device: Any, share: Any, gpus: int, settled: float, text: str
) -> None:
    resources = ResourceSettings(gpus_per_trial=share)
    result = placed(device, resources, gpus=gpus, packed=lambda: (0.25, "4 per GPU: as packed"))
    assert (result.gpus_per_trial, result.text) == (settled, text)
    assert result.applied(resources).device == result.to_dict()["device"] == ("cuda" if settled else "cpu")
    assert result.missing == (share == 0.5 and not gpus)
    assert result.notable == (gpus > 0 or result.missing), "a machine without GPUs says nothing new"


def test_a_gpu_that_torch_cannot_use_is_named() -> None:
    result = placed("auto", ResourceSettings(), gpus=0, unusable=OLD)
    assert result.text == f"{OLD}; trials train on the CPU" and result.notable and not result.missing
    assert ResourceSettings().gpus_per_trial == "auto"


def test_a_gpu_that_is_required_is_refused_where_there_is_none() -> None:
    with pytest.raises(InputError, match=r"with resources\.gpus_per_trial: 0 no trial has a GPU; allowed"):
        placed("cuda", ResourceSettings(gpus_per_trial=0.0), gpus=8)
    with pytest.raises(InputError, match=r"training\.device: cuda, but there is no GPU here"):
        placed("cuda", ResourceSettings(), gpus=0)
    with pytest.raises(InputError, match=f"cuda, but {OLD}"):
        placed("cuda", ResourceSettings(), gpus=0, unusable=OLD)


def test_the_share_is_the_ledgers_and_before_it_has_one_the_files() -> None:
    note = Event(id=1, time=0.0, kind=PLACED, trial=None, data={"gpus_per_trial": 0.125})
    assert share_in([note], ResourceSettings(gpus_per_trial=1.0)) == 0.125
    assert share_in([], ResourceSettings(gpus_per_trial=0.5)) == 0.5
    assert share_in([], ResourceSettings()) == share_in([], None) == 0.0
