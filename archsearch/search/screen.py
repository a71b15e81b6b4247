"""The optional first screen: of the sampler's best candidates the one that a zero-cost proxy likes best is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from archsearch.architecture.spec import Architecture

if TYPE_CHECKING:
    from archsearch.training.images import ImageSet
    from archsearch.training.proxies import Name


class ScreenWords(Protocol):
    """`search.screen` of a search-space file."""

    @property
    def proxy(self) -> Name:
        """Which proxy (see training/proxies.py)."""

    @property
    def of(self) -> int:
        """How many candidates it chooses from."""


class Screen:
    """Scores candidates at initialisation, in the process that proposes, on one mini-batch of the training split.

    The choice depends on the candidates, the images and `seed` alone, so a resumed search chooses as it would have.
    torch is imported when the first choice is made and not before: a driver without a screen never pays for it.
    """

    def __init__(self, settings: ScreenWords, images: ImageSet, *, seed: int) -> None:
        self.of = settings.of
        self._proxy, self._images, self._seed = settings.proxy, images, seed
        self._score: Callable[[Architecture], float] | None = None

    def best(self, architectures: Sequence[Architecture]) -> int:
        """The position of the one to take: the highest score; of equal ones the first, which the sampler prefers.

        All that are given are looked at, whatever `of` says. One alone is not scored. Raises ValueError for none.
        """
        if not architectures:
            raise ValueError("no candidates to choose from")
        if len(architectures) == 1:
            return 0
        scores = [self._scorer()(architecture) for architecture in architectures]
        return scores.index(max(scores))

    def _scorer(self) -> Callable[[Architecture], float]:
        if self._score is None:
            from archsearch.training.proxies import Scorer

            self._score = Scorer(self._proxy, self._images, seed=self._seed)
        return self._score
