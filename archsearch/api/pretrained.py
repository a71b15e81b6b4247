"""The pretrained networks of `confirm --pretrained`: a folder or a list of texts -> those within a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.api.networks import network_of
from archsearch.api.parents import parent_of
from archsearch.data.images import Progress
from archsearch.experiment import TrainingFolder
from archsearch.guests.either import Described
from archsearch.guests.guest import is_guest_name
from archsearch.reading.errors import refuse
from archsearch.search.confirming.pretrained import Beyond, refusal, title
from archsearch.space.space import SearchSpace
from archsearch.zoo.libraries import LIBRARIES

if TYPE_CHECKING:
    from archsearch.guests.parents import Parent

OPTION = "--pretrained"
SUFFIXES = (".safetensors", ".pth", ".pt", ".th")  # of files of weights


def parents_within(
    listed: str | Path | Sequence[str | Path], space: SearchSpace, tell: Progress
) -> tuple[list[Parent], list[Beyond]]:
    """The pretrained networks that `listed` names (see `sources_of`), and those of libraries that are over the space's
    budget at its image and classes, which are counted before their weights are fetched. Raises InputError."""
    parents, beyond = [], []
    for source in sources_of(listed):
        network = _known(source)
        refused = None if network is None else refusal(title(source), network, space)
        if refused is None:
            parents.append(parent_of(source, tell=tell))
        else:
            beyond.append(refused)
    return parents, beyond


def sources_of(listed: str | Path | Sequence[str | Path]) -> list[str]:
    """The texts, each once, that `parent_of` takes: those of a sequence, or of a text with commas between them. A
    folder that is no trained network itself stands for the trained networks and bundles in it. Raises InputError where
    there is none."""
    texts = listed.split(",") if isinstance(listed, str) and not Path(listed).is_dir() else listed
    given = [texts] if isinstance(texts, str | Path) else [*texts]
    sources = dict.fromkeys(source for text in given for source in _in_folder(str(text).strip()) if source)
    if not sources:
        allowed = "trained networks, as `archsearch train` or `archsearch export` writes them, or a list of names"
        raise refuse(f"no pretrained network in {listed}", allowed=allowed, file=OPTION)
    return list(sources)


def _in_folder(text: str) -> Iterator[str]:
    """The trained networks in a folder, each as `parent_of` takes it; any other text as it is."""
    folder = Path(text)
    if not folder.is_dir() or (folder / "ledger.sqlite").is_file():
        yield text
        return
    networks = [path for path in (folder, *sorted(folder.iterdir())) if TrainingFolder(path).model_yaml.is_file()]
    for path in networks[:1] if networks[:1] == [folder] else networks:
        if TrainingFolder(path).weights.is_file():
            yield str(path)
        else:
            yield from (str(file) for file in sorted(path.iterdir()) if file.suffix in SUFFIXES)


def _known(source: str) -> Described | None:
    """The network of a library's weights, by what the library states of them; None for other texts."""
    if not is_guest_name(source) or "=" in source:
        return None
    from archsearch.guests.fetching import published

    weights = published(source)
    known = weights.model in LIBRARIES[weights.library]
    return network_of(weights.model if known else f"{weights.library}:{weights.model}")
