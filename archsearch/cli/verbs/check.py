"""`archsearch check`: what a search-space file says, before anything is trained."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.cli.dispatch import app_of, command
from archsearch.cli.options import Json, Set, SpaceFile
from archsearch.cli.showing.page import page
from archsearch.cli.showing.printing import print_json, tell
from archsearch.reading.errors import InputError

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture
    from archsearch.search.foretelling.data_sheets import Cluster
    from archsearch.space import SearchSpace
    from archsearch.training.measuring.probe import Timings

app = app_of("check")
FORETOLD = 96  # networks within the budget that stand for those that will be proposed
PROBED = 10  # of them are timed
PROBE_SECONDS = 8.0


@command(app)
def check(
    space: SpaceFile,
    *,
    sets: Set = None,
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="Random networks to count.")] = 20_000,
    no_probe: Annotated[bool, typer.Option("--no-probe", help="Times no training: no hours are foretold.")] = False,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="NxDEVICE", show_default=False, help="Hours there too: 8xH100, 2x8xA100, 64xcpu."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Whether a space is valid, how large it is, what its budget leaves of it, and how long a search will take.

    A few of its networks are trained for a moment on this machine, on synthetic images: no data is needed.
    """
    from archsearch.search.foretelling.data_sheets import Cluster
    from archsearch.space import load_space

    there = None if cluster is None else Cluster.of(cluster)
    loaded = load_space(space, sets or ())
    tell(f"counting {samples:,} random networks")
    document = _document(loaded, space, samples)
    document.update(_foretold(loaded, document, there, probes=not no_probe))
    if as_json:
        print_json(document)
    else:
        print(page(loaded, document))


def _document(space: SearchSpace, file: Path, samples: int) -> dict[str, Any]:
    from archsearch.space import facts, largest, smallest
    from archsearch.space.many.survey import survey

    start = time.perf_counter()
    looked = survey(space, samples=samples)
    seconds = (time.perf_counter() - start) / looked.looked
    found = looked.to_dict()
    least, most = smallest(space), largest(space)
    extent, networks, images = space.extent(), space.networks(), facts(space.data).images
    median = found["quantiles"]["flops"]["within_budget"].get("0.5")
    forward = 3 * (images or 0) * space.search.trials * space.training.epochs
    return {
        "file": str(file),
        "name": space.name,
        "valid": True,
        "notes": list(space.notes),
        "size": None if extent.count == math.inf else extent.count,
        "size_exact": extent.exact,
        "networks": None if networks.count == math.inf else networks.count,
        "training_words": list(space.trainings.varied),
        "budget": space.budget.to_data(),
        "samples": looked.looked,
        "every_network": looked.whole,
        "impossible": looked.impossible,
        "within_budget": looked.within,
        "share_within_budget": looked.share,
        "seconds_per_sample": seconds,
        **{name: found[name] for name in ("bounds", "hardest", "unmeasured", "unreachable", "passed_over")},
        "flops_histogram": found["histograms"]["flops"],
        **{name: found[name] for name in ("histograms", "quantiles")},
        "cheapest": least.cost.to_dict(),
        "dearest": most.cost.to_dict(),
        "extremes_exact": least.exact and most.exact,
        "median_flops_within_budget": median,
        "trials": space.search.trials,
        "epochs": space.training.epochs,
        "training_images": images,
        # A backward pass costs about two forward passes.
        "search_flops_at_most": forward * median if median and images else None,
    }


def _foretold(space: SearchSpace, found: dict[str, Any], there: Cluster | None, *, probes: bool) -> dict[str, Any]:
    """The probe, the forecast and the cluster's, or why there is none."""
    nothing: dict[str, Any] = {"probe": None, "forecast": None, "cluster": None, "not_foretold": "--no-probe"}
    if not probes and there is None:
        return nothing
    if found["training_images"] is None:
        return {**nothing, "not_foretold": "the number of images is not known before they are read"}
    networks = _networks(space)
    if len(networks) < 2:
        return {**nothing, "not_foretold": "fewer than two networks within the budget were found"}
    from archsearch.search.foretelling.cluster_forecast import forecast_on
    from archsearch.search.foretelling.forecast import forecast, images_of

    train, validation = images_of(space, found["training_images"])
    timings, gpus, why = _probed(space, networks) if probes else (None, 0, nothing["not_foretold"])
    said = None
    if timings is not None:
        said = forecast(space, timings, networks, train=train, validation=validation, gpus=gpus).to_dict()
    away = None
    if there is not None and (timings is not None or there.device is not None):
        away = forecast_on(there, space, networks, timings, train=train, validation=validation).to_dict()
    probe = None if timings is None else timings.to_dict()
    return {"probe": probe, "forecast": said, "cluster": away, "not_foretold": why}


def _probed(space: SearchSpace, networks: list[Architecture]) -> tuple[Timings | None, int, str | None]:
    """What was timed, this machine's GPUs; and why nothing was, where that is so."""
    tell(f"training {min(PROBED, len(networks))} of its networks for a moment")
    from archsearch.search.foretelling.forecast import setting
    from archsearch.training.measuring.probe import probe, spread

    place = setting(space)
    try:
        timings = probe(spread(networks, PROBED), space.training, device=place.device, threads=place.threads,
                        seconds=PROBE_SECONDS)  # fmt: skip
    except InputError as error:  # the file asks for a GPU, and this machine has none
        return None, place.gpus, error.problems[0].found
    return timings, place.gpus, None


def _networks(space: SearchSpace) -> list[Architecture]:
    """Uniform over what fits, the same at each call."""
    from archsearch.space import RecordedChoices
    from archsearch.space.many.feasible import Feasible

    feasible = Feasible(space.networks_alone(), seed=0)
    return [
        space.sample(RecordedChoices(feasible.grid.choices(row))) for row in itertools.islice(iter(feasible), FORETOLD)
    ]
