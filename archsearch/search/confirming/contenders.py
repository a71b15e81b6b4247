"""Who is compared when a search is confirmed: its own best, random search's best at equal cost, and the literature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from archsearch import zoo
from archsearch.architecture.spec import Architecture
from archsearch.data.images import Moments
from archsearch.experiment import Ledger, Trial, TrialState
from archsearch.experiment.objective import BY_ACCURACY
from archsearch.guests.either import Described, cost, digest, release, unnamed
from archsearch.guests.guest import Guest
from archsearch.reading.errors import InputError, refuse
from archsearch.space.space import SearchSpace
from archsearch.zoo.reference import reference

Kind = Literal["trial", "random", "baseline", "pretrained"]
BASELINES = 3
# Families that their papers recommend; what they were compared with (plain networks, other placements) is none.
FAMILIES = ("resnet_v1", "resnet_v1.5", "resnet_v2", "wide_resnet", "resnext", "densenet", "se", "dual_path")
# Shallower members of the listed CIFAR families, by their papers' rules: small budgets hold no listed one.
SHALLOW = (
    *(f"{family}{depth}_cifar" for family in ("resnet", "preact_resnet") for depth in (8, 14, 20, 26)),
    *(f"wrn{depth}_1_cifar" for depth in (10, 16, 22, 28)),
    *(f"densenet{depth}_12_cifar" for depth in (7, 10, 13, 22)),
    *(f"densenet_bc{depth}_12_cifar" for depth in (10, 16, 22, 40)),
)
LARGE = 85  # pixels: beyond, an image is nearer to ImageNet's 224 than to CIFAR's 32 (their geometric mean)


@dataclass(frozen=True, kw_only=True)
class InitialWeights:
    """What the trainings of a contender begin with: a `file` of weights, its `sha256`, and the `source` as a person
    wrote it; `origin`, where they come from, and `licence`, as a `Parent` has them. `normalization`: mean and deviation
    of each channel, as the weights expect them (None: the images')."""

    file: Path
    sha256: str
    source: str
    origin: str
    licence: str | None = None
    normalization: Moments | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {name: getattr(self, name) for name in ("source", "sha256", "origin", "licence")}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A network to be retrained, and its result in its search.

    `score` is the value of `metric` (`validation_accuracy`) that the search saw after `epochs` epochs; `state` is that
    of its trial.
    `training` holds its overrides of the space's training settings; `key` tells it from others: the network's digest,
    or one of network and training where training settings vary, or of `initial` weights.
    """

    kind: Kind
    name: str
    architecture: Described
    digest: str
    key: str
    cost: Mapping[str, float]
    within_budget: bool
    score: float | None = None
    metric: str = BY_ACCURACY.validation
    epochs: int | None = None
    state: str | None = None
    note: str = ""
    trial: int | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    initial: InitialWeights | None = None

    @property
    def starts_from(self) -> str | None:
        """The SHA-256 of the initial weights; None where trainings begin from scratch."""
        return None if self.initial is None else self.initial.sha256

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "trial": self.trial,
            "digest": self.digest,
            **self.cost,
            "within_budget": self.within_budget,
            "search": None
            if self.score is None
            else {self.metric: self.score, "epochs": self.epochs, "state": self.state},
            "note": self.note,
            **({"training": dict(self.training)} if self.training else {}),
            **({"initial": self.initial.to_dict()} if self.initial else {}),
            "architecture": self.architecture.to_dict(),
        }


def top_of(ledger: Ledger, space: SearchSpace, count: int, *, kind: Kind = "trial") -> list[Contender]:
    """The best `count` trials by the search's metric on validation: finished ones first, then the others by the last
    rung that they reached, the highest first. Fewer where there are fewer; of equals the earlier trial."""
    ranked: list[tuple[tuple[float, ...], Contender]] = []
    for trial in ledger.trials():
        if (reached := _reached(ledger, trial)) is not None:
            epochs, score = reached
            contender = _contender(trial, space, kind, epochs=epochs, score=score, metric=ledger.objective.validation)
            unfinished = trial.state is not TrialState.FINISHED
            worth = ledger.objective.key(score)
            ranked.append(((unfinished, -epochs if unfinished else 0, -worth, trial.number), contender))
    return [contender for _, contender in sorted(ranked, key=lambda pair: pair[0])[:count]]


def _reached(ledger: Ledger, trial: Trial) -> tuple[int, float] | None:
    """(epochs, value of the search's metric) at the trial's end, or at its last rung: beyond one, the learning rate is
    high again and a score says little. None for a trial that failed or reached no rung."""
    if trial.state is TrialState.FAILED:
        return None
    if trial.state is TrialState.FINISHED:
        return None if trial.value is None else (trial.epochs, trial.value)
    epoch = next((e for e in ledger.epochs(trial.number) if e.epoch == trial.rung), None)
    score = None if epoch is None else epoch.metrics.get(ledger.objective.validation)
    return None if score is None else (trial.rung, score)


def _contender(trial: Trial, space: SearchSpace, kind: Kind, *, epochs: int, score: float, metric: str) -> Contender:
    network = Architecture.from_dict(dict(trial.architecture))
    finished = trial.state is TrialState.FINISHED
    training = space.trainings.overrides(trial.choices)
    return Contender(
        kind=kind,
        name=f"random's best {trial.id}" if kind == "random" else trial.id,
        architecture=network,
        digest=trial.digest,
        key=space.trainings.identity(trial.digest, training),
        cost=space.price(cost(network)).to_dict(),
        within_budget=fits(space, network),
        score=score,
        metric=metric,
        epochs=epochs,
        state=trial.state.value,
        note="" if finished else f"chosen by its rung of {epochs} of {space.training.epochs} epochs",
        trial=trial.number,
        training=training,
    )


def spent(trials: Iterable[Trial]) -> int:
    """Epochs that a search's trials were trained for, which equal cost is about. Epochs lost to a crash do not
    count."""
    return sum(trial.epochs for trial in trials)


# ---- the literature


def at_best(space: SearchSpace, ledger: Ledger) -> SearchSpace:
    """The space at the input of the search's best network, which others are compared with; as it is before there is
    one."""
    best = ledger.best()
    return space if best is None else space.at(Architecture.from_dict(dict(best.architecture)).input)


def baselines(space: SearchSpace, most_flops: float) -> list[Contender]:
    """The networks of the zoo that a search of the space is compared with, at most BASELINES, none where none fits.

    They have the experiment's image and classes and keep the budget's upper bounds. Of each family it is the one with
    the most FLOPs up to the budget's (up to `most_flops` where it has none); the largest come first.
    """
    nearest: dict[str, tuple[float, Contender]] = {}
    bound = space.budget.flops
    ceiling = bound.high if bound is not None and bound.high is not None else most_flops
    listed = {entry.name: entry for entry in (*zoo.entries(), *map(zoo.entry, SHALLOW))}
    for name, entry in listed.items():
        large = max(entry.architecture.input[1:]) > LARGE
        if entry.family not in FAMILIES or large != (max(space.input[1:]) > LARGE):
            continue
        try:
            contender = baseline(name, entry.architecture, space)
        except InputError:  # its image runs out on the way
            continue
        flops = contender.cost["flops"]
        if contender.within_budget and flops <= ceiling and flops > nearest.get(entry.family, (0,))[0]:
            nearest[entry.family] = (flops, contender)
    ranked = sorted(nearest.values(), key=lambda pair: -pair[0])
    return [contender for _, contender in ranked[:BASELINES]]


def reference_network(space: SearchSpace, best: Contender) -> Contender | None:
    """The largest plain residual network within the budget, with the input and the training settings of `best`, and of
    no more FLOPs than that where the budget has no bound on them; None where none fits."""
    space, bound = space.at(best.architecture.input), space.budget.flops
    ceiling = bound.high if bound is not None and bound.high is not None else best.cost["flops"]
    network = reference(
        space.input, space.classes, lambda network, count: count.flops <= ceiling and fits(space, network)
    )
    if network is None:
        return None
    return trained_as(baseline(f"plain {network.name}", network, space), best, space)


def trained_as(contender: Contender, model: Contender, space: SearchSpace) -> Contender:
    """The contender with the training settings of `model`."""
    key = space.trainings.identity(contender.digest, model.training)
    return replace(contender, training=model.training, key=key)


def baseline(name: str, network: Described, space: SearchSpace) -> Contender:
    """A network with the experiment's image and classes; a guest is called one in its name. Raises InputError where it
    cannot take that image."""
    adapted = unnamed(network.model_copy(update={"input": space.input, "classes": space.classes}))
    try:
        priced = space.price(cost(adapted)).to_dict()
    except InputError as error:
        image = "x".join(map(str, space.input))
        problem = error.problems[0]
        raise refuse(
            f"{name} cannot take images of {image}: {problem.message}",
            allowed="a network for images of that shape",
            hint="choose another --baseline; --baseline none trains no baselines",
            file="--baseline",
        ) from None
    within, network_digest = fits(space, adapted), digest(adapted)
    made = "" if network.input == space.input else f"made for {'x'.join(map(str, network.input))}"
    over = "" if within else "over the budget"
    return Contender(
        kind="baseline",
        name=f"{name} (guest)" if isinstance(network, Guest) else name,
        architecture=adapted,
        digest=network_digest,
        key=network_digest,
        cost=priced,
        within_budget=within,
        note=", ".join(filter(None, (release(network) or made, over))),
    )


def fits(space: SearchSpace, network: Described) -> bool:
    """Whether the network keeps the budget's upper bounds."""
    return not space.budget.is_exceeded(space.price(cost(network)))
