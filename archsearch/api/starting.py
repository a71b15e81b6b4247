"""Searches that begin with trained networks: the space of a network's parts, and what the experiment keeps of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from archsearch.api.parents import normalised_as, parent_of
from archsearch.architecture.spec import Architecture
from archsearch.data.images import ImageSet, Progress
from archsearch.reading.document import Document
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.validation import try_validate
from archsearch.shrinking.slice_space import free_sizes, slice_space
from archsearch.shrinking.slices import Slices
from archsearch.space.many.draws import draws
from archsearch.space.recipes import FINE_TUNING
from archsearch.space.space import SearchSpace
from archsearch.space.start_settings import StartSettings

if TYPE_CHECKING:
    from archsearch.guests.parents import Parent
    from archsearch.shrinking.kept import KeptParent

COUNTED = 200  # candidates, of which is counted how many begin with trained weights
OTHERS = (
    "`archsearch confirm EXPERIMENT --pretrained FILE` trains pretrained networks beside its winner, "
    "`archsearch shrink` makes smaller ones of any"
)


def with_space(document: Document, tell: Progress) -> Document:
    """The document with the group `space`, where it has `start` alone: all parts of that trained network that `may`
    allows; and with the settings of a training that begins with weights, for what it does not set. Raises InputError
    for several trained networks, and for one that is none of the grammar."""
    data = document.data
    if not isinstance(data, dict) or "space" in data or not isinstance(data.get("start"), dict):
        return document
    start, problems = try_validate(StartSettings, document, ("start",))
    if start is None:
        raise InputError(*problems)
    if len(start.weights) > 1:
        text = f"{len(start.weights)} trained networks without a space"
        raise InputError(document.problem(("start", "weights"), text, allowed="one, or a space too", hint=OTHERS))
    try:
        slices = _slices(parent_of(start.weights[0], tell=tell))
        words = slice_space(slices, free_sizes(slices, start.may))
    except InputError as error:
        loc = ("start", "weights", 0)
        raise InputError(
            *(document.problem(loc, f"{p.file}: {p.message}", allowed=p.allowed, hint=p.hint) for p in error.problems)
        ) from error
    document = document.with_value(("space",), words, f"start: {start.weights[0]}")
    training = data.get("training") or {}
    if isinstance(training, dict) and "recipe" not in training:
        for name, value in FINE_TUNING.items():
            if name not in training:
                document = document.with_value(("training", name), value, "start")
    return document


def with_sources(
    space: SearchSpace, images: ImageSet, tell: Progress
) -> tuple[SearchSpace, ImageSet, tuple[Parent, ...]]:
    """The trained networks that a space names, each read once, none where it has no `start`; and the space with its
    images, normalised as the weights of the first expect. Raises InputError."""
    sources = []
    for source in () if space.start is None else space.start.weights:
        tell(f"start: reading {source}")
        sources.append(parent_of(source, tell=tell))
    images, data = normalised_as(images, space.data, next(iter(sources), None), tell)
    return replace(space, data=data), images, tuple(sources)


def starting_parents(
    space: SearchSpace, sources: Sequence[Parent], images: ImageSet, tell: Progress
) -> tuple[KeptParent, ...]:
    """The trained networks with which candidates of a space begin, for these images, as its experiment keeps them; a
    person is told how many candidates that are. Raises InputError."""
    from archsearch.shrinking.beginning import kept

    may = () if space.start is None else space.start.may
    parents = tuple(
        kept(source, images, space.training, free_sizes(_slices(source), may), seed=space.search.seed)
        for source in sources
    )
    if parents:
        tell(f"start: {inheriting(space, parents)}")
    return parents


def tell_inheriting(space: SearchSpace, tell: Progress) -> None:
    """Tells how many candidates begin with trained weights, before any image is read. Raises InputError."""
    from archsearch.shrinking.kept import KeptParent

    assert space.start is not None
    parents = []
    for source in space.start.weights:
        slices = _slices(parent_of(source, tell=tell))
        network = slices.parent.model_copy(update={"input": space.input, "classes": space.classes})
        free = free_sizes(slices, space.start.may)
        parents.append(KeptParent(source=source, architecture=network, weights=b"", free=free))
    tell(f"start: {inheriting(space, tuple(parents))}")


def inheriting(space: SearchSpace, parents: tuple[KeptParent, ...]) -> str:
    """How many candidates begin with the weights of a parent, counted among some of the space, as a text."""
    candidates = list(islice(draws(space, seed=space.search.seed), COUNTED))
    count = sum(any(parent.is_parent_of(candidate) for parent in parents) for candidate in candidates)
    share = "all" if count == len(candidates) else f"{count} of {len(candidates)}"
    return f"{share} candidates begin with weights of {', '.join(parent.source for parent in parents)}"


def _slices(parent: Parent) -> Slices:
    """The slices of a parent. Raises InputError for a network of another library."""
    from archsearch.network.build import build
    from archsearch.network.inheriting import inherit

    if not isinstance(parent.network, Architecture):
        allowed = "a network of the grammar (`archsearch zoo` lists some)"
        raise refuse("a network of another library has no candidates", allowed=allowed, hint=OTHERS, file=parent.source)
    network = build(parent.network)
    network.load_state_dict(dict(parent.weights))
    return Slices(parent.network, lambda child: inherit(network, child))
