"""Landscapes of one or several networks, each point once: what an interrupted call has left is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.trained_networks import Subject

if TYPE_CHECKING:
    from archsearch.data.images import Progress


def landscapes(
    subjects: Sequence[Subject],
    points: int,
    seed: int,
    page: Path | None,
    tell: Progress,
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """The figures of the first network's landscape, with the others' beside it. Their points are kept in files beside
    `page`, if there is one. All have the same images; each has directions of its own, from `seed`."""
    from archsearch.anatomy import landscape_page
    from archsearch.anatomy.landscape import Grid, directions, losses
    from archsearch.anatomy.points import Points

    grid = Grid(points=points)
    facts, landscapes = [], []
    for number, subject in enumerate(subjects, start=1):
        facts.append({"analysis": "landscape", **subject.facts(), "seed": seed, "split": "training", "points": points})
        suffix = ".points.json" if number == 1 else f".{number}.points.json"
        file = None if page is None else page.with_suffix(suffix)
        identity = {**facts[-1], "images_digest": subject.images.digest}
        landscapes.append(Points.of(file, identity, subject.network, points))
    missing, done = sum(landscape.missing for landscape in landscapes), 0
    tell(f"the loss at {missing} points around the weights, on {facts[0]['images']} training images")
    for subject, landscape in zip(subjects, landscapes, strict=True):
        batches, loss = subject.batches(lambda done, of: None)
        ways = directions(subject.network, seed)
        try:
            with closing(losses(subject.network, ways, grid, batches, loss, known=landscape.values)) as computed:
                for point in computed:
                    landscape.add(*point)
                    done += 1
                    on_progress(done, missing)
        finally:
            landscape.save()
    own, *beside = [
        landscape_page.document(landscape.values, grid, of_network)
        for landscape, of_network in zip(landscapes, facts, strict=True)
    ]
    return landscape_page.beside(own, beside) if beside else own
