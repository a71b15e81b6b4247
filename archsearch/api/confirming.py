"""A confirmation from what was asked for to its document, shown while it goes on."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archsearch.api.driving import Audience
from archsearch.api.networks import network_of
from archsearch.api.pretrained import parents_within
from archsearch.api.reporting import report_at_the_end
from archsearch.api.sending import send_results
from archsearch.api.showing.confirming import showing_confirmation
from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.guests.either import Described
from archsearch.search.confirming import confirm as confirmation
from archsearch.search.confirming.contenders import Contender, at_best, baseline
from archsearch.search.running.interrupts import interruptible
from archsearch.space.loading import load_space
from archsearch.space.overrides import root_overrides
from archsearch.space.space import SearchSpace
from archsearch.tracking import refuse_unusable_store


def confirm(
    folder: ExperimentFolder,
    audience: Audience,
    *,
    top: int,
    seeds: int,
    folds: int | None = None,
    baselines: Sequence[str | Path | Described] | None = None,
    pretrained: str | Path | Sequence[str | Path] | None = None,
    random: bool = True,
    compiled: bool = False,
    root: Path | None = None,
    tracking_uri: str | None = None,
) -> dict[str, Any]:
    """Retrains the `top` trials over new `seeds`, beside random search at equal cost and `baselines` (None: those of
    the zoo that fit the budget), writes confirm/ and the report; returns what confirm.json holds. `folds`: chosen from
    by a cross-validation of so many (1: none; None: as `data.validation` of the experiment has it). Of the `pretrained`
    networks (see `sources_of`) those within the budget are fine-tuned beside them.

    Raises as `archsearch.search.confirming.confirm.confirm`; after Ctrl-C the same call goes on.
    """
    confirmation.refuse_unfinished(folder)
    refuse_unusable_store(tracking_uri)
    space = load_space(folder.space_yaml, root_overrides(root))
    with Ledger.read(folder.ledger) as ledger:
        at_its_size = at_best(space, ledger)
        named = None if baselines is None else _named(at_its_size, baselines)
    parents, beyond = (None, []) if pretrained is None else parents_within(pretrained, at_its_size, audience.tell)
    plan = confirmation.Plan(
        folder=folder,
        top=top,
        seeds=seeds,
        folds=space.data.folds if folds is None else folds if folds > 1 else None,
        named=named,
        pretrained=parents,
        beyond=beyond,
        random=random,
        tracking_uri=tracking_uri,
        compiled=compiled,
        root=root,
    )
    # Every training's folder is whole at every moment: a second Ctrl-C may leave at once.
    with interruptible(
        signal.SIGINT,
        signal.SIGTERM,
        notice=lambda: audience.tell(f"archsearch: {audience.saving}"),
        leave=audience.again or (lambda: None),
    ):
        images = load_images(space.data, progress=audience.tell)
        shown = audience.progress is not False
        with showing_confirmation(space.training.epochs, space.search.objective, shown=shown) as observer:
            document = confirmation.confirm(plan, images, observer)
            observer.phase("writing the report")
            report_at_the_end(folder, observer.phase)
            send_results(folder, tracking_uri, observer.phase, "the trainings and the verdict")
    return document


def _named(space: SearchSpace, baselines: Sequence[str | Path | Described]) -> list[Contender]:
    """The networks to compare with, each once, with the experiment's image."""
    named: dict[str, Described] = {}
    for source in baselines:
        network = network_of(source)
        named.setdefault(str(network.name or "baseline") if isinstance(source, Described) else str(source), network)
    return [baseline(name, network, space) for name, network in named.items()]
