"""What a search would take on a cluster that is not at hand: hours by the wall, and of GPUs, each as a range.

A trial's seconds come from a data sheet (`data_sheets.py`), or from this machine's probe: of cores, and of a GPU of the
cluster's own kind. The search itself is gone through by the clock of an event list: lanes that wait at its end, while
the last trials train on, are counted, for they are paid for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.search.foretelling.data_sheets import Cluster, Step, epoch_seconds
from archsearch.search.foretelling.forecast import MOST_SIMULATED, affordable_trials, evaluation_share, simulate
from archsearch.space.many.columns import FloatArray
from archsearch.space.search_settings import SearchSettings

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace
    from archsearch.training.measuring.probe import Timings

LOW, HIGH = 0, 1
START_UP = (30.0, 120.0)  # seconds from the command to the first trial: 40 on 2 cores (benchmarks/results/overhead.md)
MEASURED = (0.9, 1.2)  # of a probe's seconds: the same GPU elsewhere
CORES = (0.7, 1.5)  # of a probe's seconds: another machine's cores, and trials that share its memory
LANES = 16  # times as many trials are gone through at least: then the end of the search weighs as it should

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ClusterForecast:
    """An estimate, low and high. `gpu_hours` are those that are paid for, idle ones too (None for cores, which have
    `core_hours`); `busy_share` is the share of the lanes' time in trials. `bound` says of how many networks (shares) a
    step is bound by compute, memory or launches; None where steps were measured. `cores` is what the lanes ask for."""

    cluster: str
    nodes: int
    devices: int
    device: str
    source: str
    lanes: int
    lanes_per_device: float
    cores: int
    precision: str
    hours: Range
    gpu_hours: Range | None
    core_hours: Range | None
    busy_share: Range
    epoch_seconds: Range
    start_up_seconds: Range
    bound: dict[str, float] | None
    ends_by_wall_time: bool
    estimate: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a range is {low, high}."""
        ranges = ("hours", "gpu_hours", "core_hours", "busy_share", "epoch_seconds", "start_up_seconds")
        fields = asdict(self)
        return {
            name: dict(zip(("low", "high"), value, strict=True)) if name in ranges and value is not None else value
            for name, value in fields.items()
        }


def forecast_on(
    cluster: Cluster,
    space: SearchSpace,
    architectures: Sequence[Architecture],
    timings: Timings | None,
    *,
    train: int,
    validation: int,
    scored: float = 0.0,
) -> ClusterForecast:
    """The forecast of the file's search on a cluster. `architectures` are uniform draws from the networks within the
    budget; an epoch has `train` images and `validation` ones. A share `scored` of the trials is evaluated before the
    first epoch. `timings` may be None for GPUs.

    Raises ValueError for cores without timings.
    """
    lanes, sharing = _lanes(cluster, space)
    seconds, source, bound = _seconds(cluster, space, architectures, timings, sharing, train, validation)
    rehearsals: list[tuple[float, float]] = []
    for side in (LOW, HIGH):
        duration, busy = rehearse(
            space.search, space.training.epochs, seconds[side], lanes, dearest_best=side == HIGH,
            scored=scored, evaluation=evaluation_share(train, validation),
        )  # fmt: skip
        rehearsals.append((duration + START_UP[side], busy * duration / (duration + START_UP[side])))
    limit = space.search.wall_time
    hours = _range([min(duration, limit or duration) / 3600 for duration, _ in rehearsals])
    paid = (hours[LOW] * cluster.count, hours[HIGH] * cluster.count)
    device = cluster.device
    return ClusterForecast(
        cluster=str(cluster),
        nodes=cluster.nodes,
        devices=cluster.count,
        device="cpu" if device is None else device.name,
        source=source,
        lanes=lanes,
        lanes_per_device=lanes / cluster.count,
        cores=lanes * space.resources.threads,
        precision=_precision(cluster, space, timings),
        hours=hours,
        gpu_hours=None if device is None else paid,
        core_hours=paid if device is None else None,
        busy_share=_range([busy for _, busy in rehearsals]),
        epoch_seconds=_range([float(epoch.mean()) for epoch in seconds]),
        start_up_seconds=START_UP,
        bound=bound,
        ends_by_wall_time=limit is not None and rehearsals[HIGH][0] > limit,
    )


def _range(ends: Sequence[float]) -> Range:
    return min(ends), max(ends)


def _lanes(cluster: Cluster, space: SearchSpace) -> tuple[int, int]:
    """How many trials run at once, and how many of them share a device: one, where the file does not say otherwise."""
    resources, trials = space.resources, space.search.trials
    if cluster.device is None:
        resources = resources.model_copy(update={"gpus_per_trial": 0.0})
        room = cluster.nodes * resources.held(cpus=cluster.count // cluster.nodes, gpus=0)
        return resources.at_once(room, trials), 1
    if not resources.gpu_share:
        resources = resources.model_copy(update={"gpus_per_trial": 1.0})
    room = resources.held(cpus=None, gpus=cluster.count)
    return resources.at_once(room, trials), max(1, int(resources.trials_a_gpu))


def _seconds(
    cluster: Cluster,
    space: SearchSpace,
    architectures: Sequence[Architecture],
    timings: Timings | None,
    sharing: int,
    train: int,
    validation: int,
) -> tuple[tuple[FloatArray, FloatArray], str, dict[str, float] | None]:
    """Seconds of an epoch of each network, low and high, each (n,); their source; and the shares of networks by what
    bounds their steps, None where steps were measured."""
    batch, device = space.training.batch_size, cluster.device
    sizes = {"train": train, "validation": validation, "batch": batch}
    if device is None or _is_measured(cluster, timings):
        if timings is None:
            raise ValueError("an estimate for cores needs a probe of this machine")
        probed = np.array([timings.epoch_seconds(network, **sizes) for network in architectures])
        low, high = CORES if device is None else MEASURED
        return (low * probed, high * probed * sharing), f"this machine's probe: {timings.device_name}", None
    precision, costs = space.training.precision, [cost(network) for network in architectures]
    low_seconds, high_seconds = (
        np.array([epoch_seconds(c, device, **sizes, precision=precision, sharing=sharing, slow=slow) for c in costs])
        for slow in (False, True)
    )
    bounds = Counter(Step.of(c, device, batch=batch, precision=precision, sharing=sharing).bound for c in costs)
    shares = {name: bounds[name] / len(costs) for name in ("compute", "memory", "launches")}
    return (low_seconds, high_seconds), device.source, shares


def _is_measured(cluster: Cluster, timings: Timings | None) -> bool:
    """Whether the probe's steps are the cluster's: it has cores, or GPUs of the kind that the probe ran on."""
    device = cluster.device
    if device is None or timings is None or timings.device != "cuda":
        return device is None
    return device.name.lower() in timings.device_name.lower().replace("rtx ", "rtx")


def _precision(cluster: Cluster, space: SearchSpace, timings: Timings | None) -> str:
    if timings is not None and _is_measured(cluster, timings):
        return timings.precision
    precision, device = space.training.precision, cluster.device
    if precision != "auto":
        return precision
    return "bfloat16" if device is not None and device.bf16 is not None else "float32"


def rehearse(
    search: SearchSettings,
    epochs: int,
    seconds: FloatArray,
    lanes: int,
    *,
    dearest_best: bool = False,
    scored: float = 0.0,
    evaluation: float = 0.0,
) -> tuple[float, float]:
    """(seconds from the first start to the last end, share of the lanes' time in trials) of a search.

    `seconds` of an epoch, (n,), are given to trials in a random order. The order of scores is the same at every
    rung: a random one, or by `dearest_best` the most expensive trials are promoted. `scored` and `evaluation` are
    those of `simulate`. Of a long search a part is gone through, and the remaining trials are taken to be alike.
    """
    trials = affordable_trials(search, epochs, scored)
    count = min(trials, max(MOST_SIMULATED, LANES * lanes))
    rng = np.random.default_rng(0)
    epoch_seconds = np.resize(rng.permutation(seconds), count)[rng.permutation(count)]
    scores = epoch_seconds + 1e-9 * rng.random(count) if dearest_best else rng.random(count)
    clock, worked = simulate(
        search.early_stopping, epochs, epoch_seconds, scores, lanes=lanes, scored=scored, evaluation=evaluation
    )
    remaining = worked * (trials / count - 1)
    total = clock + remaining / lanes
    return total, (worked + remaining) / (total * lanes)
