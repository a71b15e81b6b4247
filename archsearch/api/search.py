"""`archsearch.search`: a search from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.arguments import names_its_arguments
from archsearch.api.driving import Audience
from archsearch.api.experiment import Experiment

if TYPE_CHECKING:
    from archsearch.api.spaces import SpaceSource
    from archsearch.data.images import OwnMetric
    from archsearch.search.deciding.observer import Observer


@names_its_arguments(output="folder", EXPERIMENT="warm_start")
def search(
    space: SpaceSource | None = None,
    *,
    data: Any = None,
    time: str | None = None,
    flops: int | str | None = None,
    params: int | str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    folder: str | Path | None = None,
    new: bool = False,
    callbacks: Sequence[Observer] = (),
    progress: bool | None = None,
    warm_start: str | Path | Experiment | None = None,
    learn_from: Sequence[str | Path | Experiment] = (),
    allow_samplers: Sequence[str] = (),
    allow_sources: Sequence[str] = (),
    metrics: Mapping[str, OwnMetric] | None = None,
    address: str | None = None,
    runtime_env: bool = False,
    tracking_uri: str | None = None,
    **overrides: Any,
) -> Experiment:
    """Searches a space for the best network within its budget, like `archsearch run`. Returns the experiment, whose
    state is `finished` or `failed`.

    `space` is what `archsearch.load_space` takes (None: a space that fits the data). `data` (None: as in the space) is
    a data set's name, a folder of images, settings as in a file, arrays `(images, labels)`, a torch Dataset, or a
    mapping of `train`, `validation` and `test` to arrays or Datasets, which are saved in the experiment's folder.
    `time` ("10m", "8h") limits the search, `flops` and `params` (20_000_000, or "20M") the networks. `overrides` are
    groups of the file, such as `training={"epochs": 3}`. The experiment is `name` in experiments/, or the folder
    `folder`; with `new` it gets the next free name if one of that name was interrupted.

    `callbacks` (`archsearch.Observer`) are called for every epoch and change of a trial; `progress=False` prints
    nothing. `warm_start` takes over the results of an earlier experiment on the same data. The experiments
    `learn_from`, on any data, guide the first proposals (by default those in experiments/, except for a search in a
    `folder` or with `search={"experience": "none"}`). `allow_samplers` are sampler classes (`module:Class`) of the
    space that may be imported, which runs their code, and `allow_sources` classes of images and metrics. `metrics` are
    functions by their names, called with a network's outputs (N, K) and the labels of the validation images after each
    epoch; a search may be by one of them: `search={"objectives": {"kappa": "max"}}`. `address` is that of a running Ray
    cluster (None: a local Ray); `runtime_env` sends this archsearch to its nodes. `tracking_uri` is MLflow's.

    After Ctrl-C or a notebook's stop button everything is saved before KeyboardInterrupt is raised;
    `archsearch.open(name).resume()` continues. Raises InputError for invalid input, DriverRunning, and RuntimeError
    where Ray fails.
    """
    from archsearch.api.data import data_source
    from archsearch.api.initial import limits_of, space_of_data
    from archsearch.api.searching import begin
    from archsearch.api.spaces import load_space
    from archsearch.data.own_metrics import recorded
    from archsearch.search.proposing.samplers.registry import allow
    from archsearch.sources import own as sources

    allow(allow_samplers)
    sources.allow(allow_sources)
    audience = Audience(callbacks=callbacks, progress=progress)
    source = data_source(data)
    numbers = {"search.trials": trials, "search.seed": seed}
    given: dict[str, Any] = {key: value for key, value in numbers.items() if value is not None}
    given |= {f"data.metrics.{metric}": title for metric, title in recorded(metrics).items()}
    if space is None:
        space, limits = space_of_data(source, time=time, flops=flops, params=params, tell=audience.tell), {}
    else:
        limits = limits_of(time, flops, params)
    loaded = load_space(space, {**limits, **source.overrides, **overrides, **given}, data=source.facts)
    ready = begin(
        loaded,
        name=name,
        output=None if folder is None else Path(folder),
        new=new,
        data=source,
        warm_start=warm_start.path if isinstance(warm_start, Experiment) else warm_start,
        learn_from=[named.path if isinstance(named, Experiment) else named for named in learn_from],
        address=address,
        runtime_env=runtime_env,
        tracking_uri=tracking_uri,
        tell=audience.tell,
    )
    location = ready.session.folder
    ready.drive(audience, go_on=f"archsearch.open({location.argument!r}).resume()")
    return Experiment(location)


@names_its_arguments()
def init(
    folder: str | Path, *, time: str | None = None, flops: int | str | None = None, params: int | str | None = None
) -> str:
    """A search space that fits the images in a folder, as the text of a file, to be read and changed: what
    `archsearch init` writes, and `archsearch.search(data=folder)` searches.

    `time`, `flops` and `params` are those of `archsearch.search`. Raises InputError.
    """
    from archsearch.api.initial import counts_of, initial

    return initial(Path(folder), (), time=time, **counts_of(flops, params), tell=Audience().tell).text
