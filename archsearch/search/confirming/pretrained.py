"""Pretrained networks in a confirmation: which fit the budget, how they are fine-tuned, and whether the best of them is
better than the search's winner."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.analysis.outline import short
from archsearch.experiment import ExperimentFolder
from archsearch.guests.either import Described, cost, digest, release, unnamed
from archsearch.reading.errors import InputError
from archsearch.search.confirming.contenders import Contender, InitialWeights, fits
from archsearch.search.confirming.verdict import Difference, Row, choose
from archsearch.shrinking.kept import copy_parent
from archsearch.space.recipes import FINE_TUNING
from archsearch.space.space import SearchSpace

if TYPE_CHECKING:
    from archsearch.guests.parents import Parent


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """A pretrained network that is not fine-tuned: its name, what it costs (empty where that is not known), and why."""

    name: str
    cost: Mapping[str, float] = field(default_factory=dict)
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.name, **self.cost, "reason": self.reason}

    def __str__(self) -> str:
        """A line for a person."""
        return f"{self.name} is not fine-tuned: {self.reason}"


def adapted(network: Described, space: SearchSpace) -> Described:
    """The network with the space's image and classes."""
    return unnamed(network.model_copy(update={"input": space.input, "classes": space.classes}))


def refusal(name: str, network: Described, space: SearchSpace) -> Beyond | None:
    """Why a network is not fine-tuned, None where it keeps the budget: counted exactly at the space's image and
    classes, before any of its weights is needed."""
    network = adapted(network, space)
    try:
        priced = space.price(cost(network))
    except InputError as error:
        return Beyond(name=name, reason=f"it cannot take images of {_image(space)}: {error.problems[0].message}")
    if fits(space, network):
        return None
    counted = f"{short(priced.params)} parameters and {short(priced.flops)} FLOPs"
    reason = f"{counted} at {_image(space)}, over the budget ({space.budget})"
    return Beyond(name=name, cost=priced.to_dict(), reason=reason)


def admitted(
    parents: Sequence[Parent], space: SearchSpace, folder: ExperimentFolder
) -> tuple[list[Contender], list[Beyond]]:
    """The pretrained networks that keep the budget, each copied into the confirmation's folder, from where all later
    trainings read it; and the others."""
    contenders: dict[str, Contender] = {}
    beyond: list[Beyond] = []
    for parent in parents:
        name = title(parent.source)
        network = adapted(parent.network, space)
        if (refused := refusal(name, network, space)) is not None:
            beyond.append(refused)
            continue
        contender = _copied(parent, network, space, folder, name)
        contenders.setdefault(contender.key, contender)
    return list(contenders.values()), beyond


def title(source: str) -> str:
    """What tables call a pretrained network: its library's name for it, or the last part of a path."""
    return source if ":" in source else Path(source).name


def schedule(space: SearchSpace) -> dict[str, Any]:
    """The settings in which fine-tuning differs from the space's training: the recipe fine_tuning, of no more epochs
    than the search's own."""
    return {**FINE_TUNING, "epochs": min(FINE_TUNING["epochs"], space.training.epochs)}


def _copied(parent: Parent, network: Described, space: SearchSpace, folder: ExperimentFolder, name: str) -> Contender:
    from archsearch.training.checkpoint import weights_to_bytes

    content, training = weights_to_bytes(dict(parent.weights)), schedule(space)
    sha256 = hashlib.sha256(content).hexdigest()
    identity = json.dumps([sha256, sorted(training.items())])
    key = f"{digest(network)}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    files = folder.confirmation.pretrained(key)
    initial = InitialWeights(
        file=files.weights,
        sha256=sha256,
        source=parent.source,
        origin=parent.origin,
        licence=parent.licence,
        normalization=parent.normalization_for(network.input[0]),
    )
    copy_parent(folder, files, parent.network, content, initial.to_dict())
    return Contender(
        kind="pretrained",
        name=name,
        architecture=network,
        digest=digest(network),
        key=key,
        cost=space.price(cost(network)).to_dict(),
        within_budget=True,
        note="; ".join(filter(None, (release(network), parent.licence and f"licence {parent.licence}"))),
        training=training,
        initial=initial,
    )


# ---- what came of it


def verdict(
    rows: Sequence[Row], winner: Row, leads: Sequence[Difference], beyond: Sequence[Beyond], folder: ExperimentFolder
) -> dict[str, Any]:
    """Whether the best pretrained network is better than the search's winner, by the metric on validation, as plain
    JSON values: `best` is its name (None: none was fine-tuned), `better` the answer, `sentence` what a person is told,
    `run` the folder of its training with the best seed, within the experiment's; `beyond` are those that were not
    fine-tuned."""
    tuned = [row for row in rows if row.contender.kind == "pretrained"]
    best, others = choose(rows, "pretrained"), [network.to_dict() for network in beyond]
    lead = next((lead for lead in leads if lead.row is winner and lead.reference is best), None)
    if best is None or lead is None:
        sentence = _none(tuned, beyond)
        return {"networks": len(tuned), "best": None, "better": False, "told_apart": False, "sentence": sentence,
                "run": None, "beyond": others}  # fmt: skip
    searched, pretrained = winner.interval("validation"), best.interval("validation")
    assert searched is not None and pretrained is not None, "only networks that were trained are chosen"
    better = winner.objective.better(pretrained.mean, searched.mean)
    run = folder.confirmation.run(best.contender.key, best.best_seed).path if best.results else None
    return {
        "networks": len(tuned),
        "best": best.contender.name,
        "better": better,
        "told_apart": lead.told_apart,
        "sentence": _sentence(lead, len(tuned), better=better),
        "run": None if run is None else str(run.relative_to(folder.path)),
        "beyond": others,
    }


def _sentence(lead: Difference, networks: int, *, better: bool) -> str:
    """Who wins, by how much on each split, and whether that is significant."""
    search, pretrained = f"the search's {lead.row.contender.name}", lead.reference.contender.name
    which = f"{pretrained}, the best of {networks} fine-tuned pretrained networks," if networks > 1 else pretrained
    first, second = (pretrained, search) if better else (lead.row.contender.name, which)
    parts: list[str] = []
    for split, interval in (("validation", lead.validation), ("test", lead.test)):
        if interval is not None:
            gain = -interval.mean if better else interval.mean
            of = f" of {second}" if not parts else ""
            relation = f"{lead.row.objective.points(abs(gain))} {'behind' if gain < 0 else 'ahead'}"
            parts.append(f"{relation}{of} on {split}")
    count = lead.decisive.n if lead.decisive is not None else 0
    seeds = f"{count} seed{'s' if count != 1 else ''}" + ("" if lead.told_apart else ", not significant")
    winner = "A fine-tuned pretrained network wins" if better else "The search wins"
    return f"{winner}: {first} is {' and '.join(parts)} ({seeds})."


def _none(tuned: Sequence[Row], beyond: Sequence[Beyond]) -> str:
    """Why no pretrained network was compared."""
    if tuned:
        return (
            "No pretrained network could be fine-tuned: " + "; ".join(row.contender.name for row in tuned) + " failed."
        )
    counted = [network for network in beyond if network.cost]
    if not counted:
        return "No pretrained network takes these images: the search's network is compared with none."
    least = min(counted, key=lambda network: network.cost["params"])
    count = f"none of the {len(beyond)} given fits" if len(beyond) > 1 else "the one given does not fit"
    return (
        f"No pretrained network was fine-tuned: {count} the budget (the smallest, {least.name}, has "
        f"{short(least.cost['params'])} parameters and {short(least.cost['flops'])} FLOPs)."
    )


def _image(space: SearchSpace) -> str:
    return "x".join(map(str, space.input))
