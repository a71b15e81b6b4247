"""`archsearch.search`: a search from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.arguments import names_its_arguments
from archsearch.api.driving import Audience
from archsearch.api.experiment import Experiment

if TYPE_CHECKING:
    from archsearch.api.spaces import SpaceSource
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
    address: str | None = None,
    runtime_env: bool = False,
    tracking_uri: str | None = None,
    **overrides: Any,
) -> Experiment:
    """Searches a space for the best network within its budget, as `archsearch run`; returns the experiment, `finished`
    or `failed`.

    `space` is what `archsearch.load_space` takes; None: one that fits the data. `data` (None: what the space says) is a
    data set's name, a folder of images, settings as in a file, arrays `(images, labels)`, a torch Dataset, or a mapping
    of `train`, `validation` and `test` to either of the last two: these are kept in the experiment's folder. `time`
    ("10m", "8h") ends the search; `flops` and `params` (20_000_000, or "20M") are what a network may have. `overrides`
    are groups of the file: `training={"epochs": 3}`. The experiment is `name` in experiments/, or `folder` itself; with
    `new` the next free name, where one of that name was interrupted.

    `callbacks` are told of every epoch and change of a trial (`archsearch.Observer`); a person is unless `progress` is
    False. A `warm_start` takes over an earlier experiment's results on the same data. What the experiments `learn_from`
    teach, whatever their data, says where the search begins; none named: those in experiments/, but for a search in a
    `folder` or with `search={"experience": "none"}`. `allow_samplers` are classes (`module:Class`) that the space may
    name for its sampler though importing them runs code. `address` is a running Ray's (None: one of its own), whose
    nodes get this archsearch with `runtime_env`; `tracking_uri` is MLflow's store.

    KeyboardInterrupt (Ctrl-C, a notebook's stop button) comes once all is saved: `archsearch.open(name).resume()` goes
    on. Raises InputError for bad input, DriverRunning, and RuntimeError where Ray fails.
    """
    from archsearch.api.data import data_source
    from archsearch.api.initial import limits_of, space_of_data
    from archsearch.api.searching import begin
    from archsearch.api.spaces import load_space
    from archsearch.search.proposing.samplers.registry import allow

    allow(allow_samplers)
    audience = Audience(callbacks=callbacks, progress=progress)
    source = data_source(data)
    numbers = {"search.trials": trials, "search.seed": seed}
    given = {key: value for key, value in numbers.items() if value is not None}
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

    return initial(Path(folder), time=time, **counts_of(flops, params), tell=Audience().tell).text
