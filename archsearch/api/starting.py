"""Searches that begin with trained networks: the space of a network's parts, and what the experiment keeps of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from archsearch.api.networks import network_of
from archsearch.api.parents import OTHERS, normalised_as, parent_of, slices_of
from archsearch.data.images import ImageSet, Progress
from archsearch.reading.document import Document
from archsearch.reading.errors import InputError
from archsearch.reading.validation import try_validate
from archsearch.shrinking.slice_space import free_sizes, slice_space
from archsearch.space.recipes import FINE_TUNING
from archsearch.space.space import SearchSpace
from archsearch.space.start_settings import StartSettings

if TYPE_CHECKING:
    from archsearch.guests.parents import Parent
    from archsearch.search.proposing.first import First
    from archsearch.shrinking.kept import KeptParent


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
        slices = slices_of(parent_of(start.weights[0], tell=tell))
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
        kept(source, images, space.training, free_sizes(slices_of(source), may), seed=space.search.seed)
        for source in sources
    )
    if parents:
        from archsearch.shrinking.kept import Inheriting

        tell(f"start: {Inheriting.of(parents, space)}")
    return parents


def expected_parents(space: SearchSpace, tell: Progress) -> tuple[KeptParent, ...]:
    """The trained networks of a space as a search would keep them, without their weights, before any image is read;
    none where it has no `start`. Raises InputError."""
    from archsearch.guests.parents import suited
    from archsearch.shrinking.kept import KeptParent

    parents = []
    for source in () if space.start is None else space.start.weights:
        tell(f"start: reading {source}")
        read = parent_of(source, tell=tell)
        slices = slices_of(read)
        fitted = suited(read, space.input, space.classes)
        network = slices.parent.model_copy(update={"input": space.input, "classes": space.classes})
        free = free_sizes(slices, space.start.may if space.start else ())
        parents.append(
            KeptParent(source=source, architecture=network, weights=b"", free=free, scored=not fitted.replaced)
        )
    return tuple(parents)


def networks_tried_first(space: SearchSpace, tell: Progress) -> tuple[First, ...]:
    """The networks that `search.first` names, as points of the space. Raises InputError for one that is none."""
    from archsearch.search.proposing.first import First, first_networks

    networks = []
    for network in first_networks(space, network_of):
        if isinstance(network, First):
            networks.append(network)
        tell(f"first: {network.name}" if isinstance(network, First) else network)
    return tuple(networks)
