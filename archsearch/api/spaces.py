"""Search spaces as Python has them: from a file, a name, a text or plain values, with networks to draw from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.data.images import Progress
from archsearch.reading.document import Document
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.reading.yaml import read
from archsearch.space.datasets import DataFacts
from archsearch.space.loading import space_of
from archsearch.space.overrides import apply
from archsearch.space.shipped import space_path
from archsearch.space.space import SearchSpace

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture
    from archsearch.shrinking.kept import KeptParent

SpaceSource = str | Path | Mapping[str, Any] | SearchSpace

GROUPS = ("data", "space", "start", "budget", "search", "training", "resources")


@dataclass(frozen=True, kw_only=True)
class Space(SearchSpace):
    """A search space: the networks that a search-space file allows, its budget, and how they are trained."""

    def sample(self, n: int, seed: int = 0) -> list[Architecture]:
        """`n` architectures that differ from one another, drawn uniformly from those within the budget; fewer where the
        space has no more. The same seed gives the same ones."""
        from archsearch.space.many.draws import distinct

        return [network for _, network, _ in distinct(self, _at_least_one(n, "n"), seed=seed)]

    def check(
        self,
        *,
        samples: int = 20_000,
        probe: bool = True,
        cluster: str | None = None,
        tell: Progress | None = None,
    ) -> dict[str, Any]:
        """What `archsearch check SPACE --json` prints: how large the space is, what share of at most `samples` random
        networks fits the budget, and how long a search will take.

        With `probe` a few networks train for some seconds on this machine; `cluster` is a text such as `8xH100`, for
        hours there too; `tell` is called with messages on what is done. Raises InputError for a cluster that is not
        known, and for networks of `search.first` that are none of the space.
        """
        from archsearch.search.foretelling.check import check_space
        from archsearch.search.foretelling.data_sheets import Cluster

        target = None if cluster is None else Cluster.of(cluster)
        parents: tuple[KeptParent, ...] = ()
        if self.start is not None:
            from archsearch.api.starting import expected_parents

            parents = expected_parents(self, tell or (lambda _: None))
        if self.search.first:
            from archsearch.api.starting import networks_tried_first

            networks_tried_first(self, tell or (lambda _: None))
        return check_space(
            self,
            Path(self.file),
            samples=_at_least_one(samples, "samples"),
            cluster=target,
            probes=probe,
            tell=tell or (lambda _: None),
            parents=parents,
        )


def load_space(
    source: SpaceSource, overrides: Sequence[str] | Mapping[str, Any] = (), *, data: DataFacts | None = None
) -> Space:
    """The search space of a YAML file, a shipped space's name (`digits`), a YAML text (of several lines) or the same as
    plain values; a SearchSpace that is loaded already may be given too.

    `overrides` are set first: texts `training.epochs=3`, or a mapping of such keys, or of groups, to values:
    `{"training": {"epochs": 3}}`. With `data`, what is known of its images, these need not be there. Raises InputError
    with all problems at once.
    """
    if isinstance(source, SearchSpace) and not overrides and data is None:
        return _as_space(source)
    document = _document(source)
    if isinstance(overrides, Mapping):
        for key, value in flat(overrides):
            document = document.with_value(tuple(key.split(".")), plain(value), f"{key}={value!r:.60}")
    else:
        document = apply(document, overrides)
    return _as_space(space_of(with_parts(document), data=data))


def with_parts(document: Document, tell: Progress | None = None) -> Document:
    """The document, with the space of a trained network's parts where it has `start` and no `space`. Raises
    InputError."""
    if not isinstance(document.data, dict) or "start" not in document.data or "space" in document.data:
        return document
    from archsearch.api.starting import with_space

    return with_space(document, tell or (lambda _: None))


def _as_space(space: SearchSpace) -> Space:
    if isinstance(space, Space):
        return space
    return Space(**{field.name: getattr(space, field.name) for field in fields(SearchSpace)})


def _document(source: SpaceSource) -> Document:
    match source:
        case SearchSpace():
            return Document(data=source.to_dict(), file=source.file)
        case Mapping():
            return Document(data=plain(source), file="space")
        case str() if "\n" in source:
            return read(source)
        case str() | Path():
            return read(space_path(source))
    allowed = "a file's path, a shipped space's name, a YAML text, a mapping or a SearchSpace"
    raise refuse(f"a space of type {type(source).__name__}", allowed=allowed, file="space")


def flat(overrides: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(dotted key, value) of each override; a group's mapping counts for the keys in it."""
    pairs: list[tuple[str, Any]] = []
    for key, value in overrides.items():
        group, _, below = str(key).partition(".")
        if group not in (*GROUPS, "name") or (below and not re.fullmatch(r"\w+(\.\w+)*", below, re.ASCII)):
            allowed = ", ".join(GROUPS)
            raise refuse(
                f"the override {key!r:.80}",
                allowed=f"{allowed}, with a mapping or a dotted key",
                hint=did_you_mean(group, GROUPS),
                file="search",
            )
        if not below and isinstance(value, Mapping):
            pairs += [(f"{key}.{name}", inner) for name, inner in value.items()]
        else:
            pairs.append((key, value))
    return pairs


def plain(value: Any) -> Any:
    """The value as YAML would give it: mappings, lists and scalars alone; paths are texts, NumPy's scalars Python's."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _at_least_one(number: int, name: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise refuse(f"{name} is {number!r:.40}", allowed="a whole number from 1", file=name)
    return number
