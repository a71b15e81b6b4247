"""What `archsearch check` says of a search-space file, as one document: its size, its budget, what a search takes."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.architecture.spec import Architecture
from archsearch.data.images import Progress
from archsearch.data.surveying import FolderSurvey, survey_folder
from archsearch.experiment.file_systems import note_of
from archsearch.experiment.folder import EXPERIMENTS
from archsearch.reading.errors import InputError
from archsearch.search.foretelling import pretraining
from archsearch.search.foretelling.cluster_forecast import forecast_on
from archsearch.search.foretelling.data_sheets import Cluster
from archsearch.search.foretelling.forecast import Setting, forecast, setting
from archsearch.shrinking.kept import Inheriting, KeptParent
from archsearch.space.datasets import facts, split_sizes
from archsearch.space.fitting import expected, warnings
from archsearch.space.many.draws import draws, typical
from archsearch.space.many.survey import survey
from archsearch.space.reach import largest, smallest
from archsearch.space.settings import ResourceSettings, TrainingSettings
from archsearch.space.space import SearchSpace
from archsearch.space.threads import most_threads

if TYPE_CHECKING:
    from archsearch.training.measuring.probe import Timings

FORETOLD = 96  # networks within the budget that stand for those that will be proposed
PROBED = 10  # of them are timed
PROBE_SECONDS = 8.0


def check_space(
    space: SearchSpace,
    file: Path,
    *,
    samples: int,
    cluster: Cluster | None,
    probes: bool,
    tell: Progress,
    parents: Sequence[KeptParent] = (),
) -> dict[str, Any]:
    """The document, as plain JSON values.

    At most `samples` networks are counted. With `probes` a few are trained for a moment on this machine. `tell` is
    called with messages on what is done. `parents` are the trained networks with which candidates begin.
    """
    inheriting = Inheriting.of(parents, space) if parents else None
    survey = survey_folder(space.data, tell) if space.data.is_source else None
    images, sizes = _images(space, survey)
    space = expected(space, sizes[0], () if survey is None else survey.images["train"])
    tell(f"counting {samples:,} random networks")
    document = _counted(space, file, samples, images, sizes[0]) | {
        "folder": None if survey is None else survey.to_dict(),
        "pretrained": pretraining.advice(space, survey, sizes[0]),
        "start": None if inheriting is None else inheriting.to_dict(),
    }
    scored = 0.0 if inheriting is None else inheriting.share_scored
    return document | _foretold(space, sizes, cluster, scored=scored, probes=probes, tell=tell)


def _images(space: SearchSpace, survey: FolderSurvey | None) -> tuple[int, tuple[int, int]]:
    """The images without the test split, and (train, validation) of an epoch."""
    if survey is not None:
        sizes = (max(1, survey.train), max(1, survey.sizes["validation"]))
        return sum(sizes), sizes
    images = facts(space.data).images or 1
    return images, split_sizes(space.data, images)


def _counted(space: SearchSpace, file: Path, samples: int, images: int, train: int) -> dict[str, Any]:
    start = time.perf_counter()
    surveyed = survey(space, samples=samples)
    seconds = (time.perf_counter() - start) / surveyed.looked
    figures = surveyed.to_dict()
    cheapest, dearest = smallest(space), largest(space)
    extent, networks = space.extent(), space.networks()
    median = figures["quantiles"]["flops"]["within_budget"].get("0.5")
    epochs = space.search.trials * space.training.epochs
    forward = 3 * images * min(epochs, space.search.epochs or epochs)
    return {
        "file": str(file),
        "name": space.name,
        "valid": True,
        "notes": [*space.notes, *filter(None, [note_of(EXPERIMENTS)])],
        "warnings": warnings(space, train),
        "size": None if extent.count == math.inf else extent.count,
        "size_exact": extent.exact,
        "networks": None if networks.count == math.inf else networks.count,
        "training_words": list(space.trainings.varied),
        "budget": space.budget.to_data(),
        "samples": surveyed.looked,
        "every_network": surveyed.whole,
        "impossible": surveyed.impossible,
        "other_stages": surveyed.other_stages,
        "within_budget": surveyed.within,
        "share_within_budget": surveyed.share,
        "seconds_per_sample": seconds,
        **{name: figures[name] for name in ("bounds", "hardest", "unmeasured", "unreachable", "passed_over")},
        "flops_histogram": figures["histograms"]["flops"],
        **{name: figures[name] for name in ("histograms", "quantiles")},
        "cheapest": cheapest.cost.to_dict(),
        "dearest": dearest.cost.to_dict(),
        "extremes_exact": cheapest.exact and dearest.exact,
        "median_flops_within_budget": median,
        "objectives": dict(space.search.objectives),
        "trials": space.search.trials,
        "epochs": space.training.epochs,
        "training_images": images,
        # A backward pass costs about two forward passes.
        "search_flops_at_most": forward * median if median else None,
    }


def _foretold(
    space: SearchSpace, sizes: tuple[int, int], cluster: Cluster | None, *, scored: float, probes: bool, tell: Progress
) -> dict[str, Any]:
    """Where trials train here (None: on a CPU alone, as expected), the probe, the forecast for this machine and the
    cluster's, from the (train, validation) images of an epoch, of trials of which a share is `scored` before the first;
    `not_foretold`: why there is none."""
    nothing: dict[str, Any] = {
        "placement": None,
        "execution": None,
        "probe": None,
        "forecast": None,
        "cluster": None,
        "not_foretold": "--no-probe",
    }
    if not probes and cluster is None:
        return nothing
    networks = list(islice(draws(space, seed=0), FORETOLD))
    if len(networks) < 2:
        return {**nothing, "not_foretold": "fewer than two networks within the budget"}
    document, (train, validation) = nothing, sizes
    timings = None
    if probes:
        try:
            here = setting(space, images=sum(sizes) * math.prod(space.input))
            settled, training, execution = _settled(space, here, tell)
            timings = _probed(networks, training, settled.resources, tell)
        except InputError as error:  # the file requires a GPU, and there is none, or the networks do not fit
            document["not_foretold"] = error.problems[0].message
        else:
            figures = forecast(
                settled,
                timings,
                networks,
                train=train,
                validation=validation,
                gpus=here.gpus,
                scored=scored,
            )
            document |= {
                "placement": here.placement.to_dict() if here.placement.notable else None,
                "execution": execution,
                "probe": timings.to_dict(),
                "forecast": figures.to_dict(),
                "not_foretold": None,
            }
    if cluster is not None and (timings is not None or cluster.device is not None):
        elsewhere = forecast_on(cluster, space, networks, timings, train=train, validation=validation, scored=scored)
        document["cluster"] = elsewhere.to_dict()
    return document


def _settled(
    space: SearchSpace, here: Setting, tell: Progress
) -> tuple[SearchSpace, TrainingSettings, dict[str, Any] | None]:
    """The space with the resources that a search on this machine would settle, its training with the precision, and on
    a CPU the threads and the precision that the file leaves open, with a text; None where none is."""
    resources, training = here.resources, space.training
    open_threads, open_precision = resources.cpus_per_trial == "auto", training.precision == "auto"
    network = typical(space) if resources.device == "cpu" and (open_threads or open_precision) else None
    if network is None:
        return replace(space, resources=resources), training, None
    tell("measuring threads and precision")
    from archsearch.training.measuring.precision import choose_precision
    from archsearch.training.measuring.threads import Execution, choose_execution

    if open_threads:
        cores = os.cpu_count() or 1
        most = most_threads([cores], resources.at_once(cores, space.search.trials))
        execution = choose_execution(network, training, most=most)
    else:
        chosen = choose_precision(network, training, device="cpu", threads=resources.threads)
        execution = Execution(threads=resources.threads, precision=chosen.precision, text=str(chosen))
    resources = resources.model_copy(update={"cpus_per_trial": execution.threads})
    training = training.model_copy(update={"precision": execution.precision})
    return replace(space, resources=resources), training, execution.to_dict()


def _probed(
    networks: Sequence[Architecture], training: TrainingSettings, resources: ResourceSettings, tell: Progress
) -> Timings:
    tell(f"timing {min(PROBED, len(networks))} of its networks")
    from archsearch.training.measuring.probe import probe, spread

    return probe(
        spread(networks, PROBED),
        training,
        device=resources.device,
        threads=resources.threads,
        seconds=PROBE_SECONDS,
    )
