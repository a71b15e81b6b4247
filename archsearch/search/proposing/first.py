"""Networks that a search tries before all others: `search.first`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import Cost, cost
from archsearch.architecture.spec import Architecture
from archsearch.experiment import Ledger
from archsearch.experiment.winner import FIRST
from archsearch.reading.errors import InputError, refuse
from archsearch.space.choices import Scalar
from archsearch.space.known import choices_of
from archsearch.space.space import SearchSpace
from archsearch.zoo.reference import reference

PLAIN = "plain"
ANSWER = "the recorded choice "  # how the space's refusal of a value begins


@dataclass(frozen=True, kw_only=True)
class First:
    """A network that is tried first: what a person is told of it, its choices and its digest; whether it is the `plain`
    residual network of the space."""

    name: str
    choices: dict[str, Scalar]
    digest: str
    plain: bool = False


def first_networks(space: SearchSpace, network_of: Callable[[str], Any]) -> Iterator[First | str]:
    """The networks that `search.first` names, in its order; a sentence in place of a plain one that the space lacks.
    `network_of` reads a name or a file. Raises InputError, at its place in the file, for one that cannot be tried."""
    for index, name in enumerate(space.search.first):
        if name == PLAIN:
            plain = plain_network(space)
            yield plain or "search.first: no plain residual network of the space is within the budget"
            continue
        try:
            yield _first(space, name, network_of(name))
        except InputError as error:
            raise InputError(
                *(space.document.problem(("search", "first", index), f"{name}: {problem.message.removeprefix(ANSWER)}",
                                         allowed=problem.allowed, hint=problem.hint) for problem in error.problems)
            ) from error  # fmt: skip


def plain_network(space: SearchSpace) -> First | None:
    """The largest plain residual network of the space within the budget, as `archsearch.zoo.reference` has it; None
    where there is none."""
    known: dict[str, dict[str, Scalar]] = {}

    def admits(network: Architecture, counted: Cost) -> bool:
        if not space.budget.admits(space.price(counted)):
            return False
        try:
            known[digest(network)] = choices_of(space, network)
        except InputError:
            return False
        return True

    network = reference(space.input, space.classes, admits)
    if network is None:
        return None
    key = digest(network)
    return First(name=f"plain {network.name}", choices=known[key], digest=key, plain=True)


def note_first(networks: Sequence[First], ledger: Ledger) -> None:
    """Notes them in the ledger of a new search."""
    for network in networks:
        ledger.note(FIRST, asdict(network))


def first_choices(ledger: Ledger) -> list[dict[str, Scalar]]:
    """The choices of the networks that this ledger's search tries first, in their order."""
    return [dict(event.data["choices"]) for event in ledger.events_of(FIRST)]


def _first(space: SearchSpace, name: str, network: Any) -> First:
    if not isinstance(network, Architecture):
        raise refuse("a network of another library", allowed="a name of `archsearch zoo`, or a YAML file")
    choices = choices_of(space, network)
    network = network.model_copy(update={"input": space.input, "classes": space.classes})
    price = space.price(cost(network))
    if not space.budget.admits(price):
        costs = ", ".join(
            f"{bound} {getattr(price, bound):,}" for bound, _ in space.budget.bounds() if bound != "latency"
        )
        raise refuse(f"outside of the budget, with {costs}", allowed=str(space.budget))
    return First(name=name, choices=choices, digest=digest(network))
