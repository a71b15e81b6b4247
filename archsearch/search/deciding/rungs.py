"""Asynchronous successive halving (ASHA, Li et al. 2018, arXiv:1810.05934, algorithm 2): the promotion kind.

Every trial pauses at each rung that it reaches. Whenever a worker is free, from the highest rung down, a trial
among the best share of its rung that was not promoted yet is promoted; only where there is none a new trial
begins. Decisions follow from the scores and promotions alone, so that the ledger's bring the same rungs back.

The share is 1/reduction while the rungs can be trusted. Spearman's rank correlation between a rung and the next
says whether they can. It can only be taken over the promoted trials, which are alike, for they are the best; so it
is corrected for that choice (see `corrected`). From 6 such trials on, as the corrected correlation falls from 0.7
to 0 the share grows on a line from 1/reduction to 1/2.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archsearch.analysis.ranking import corrected, spearman
from archsearch.space.search_settings import rung_epochs

if TYPE_CHECKING:
    from archsearch.experiment import Ledger
    from archsearch.space.search_settings import EarlyStopping

LOOK_EVERY = 50  # of fewer scores than twice that every one is looked at
ENOUGH = 6  # trials with both scores before a correlation counts
TRUSTED = 0.7
MOST = 0.5  # the share promoted where the rungs say nothing of each other


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """This trial goes on above its rung. `share` of the rung is promoted; 0 where the quota would give none."""

    trial: int
    bracket: int
    rung: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's between a rung and the next, over the n trials with both scores; None where it is not defined.

    `corrected` estimates what it would be over all of the rung's trials, had all gone on.
    """

    bracket: int
    rung: int
    value: float | None
    corrected: float | None
    n: int


class Rungs:
    """The rungs at which trials pause, and which of the paused ones go on.

    Bracket s has its rungs at grace * reduction^s, grace * reduction^(s+1), ... below `epochs`.

    Trials are dealt to the brackets by their numbers, each to the one furthest behind its weight. The weights are
    Hyperband's numbers of trials (Li et al. 2018, arXiv:1603.06560, algorithm 1): of b brackets, one with k rungs
    has ceil(b / (k + 1) * reduction^k), so most trials go to the one that stops soonest. There are no more brackets
    than leave one without rungs, whose trials are trained in full.

    Trials that are `scored_untrained` (asked by number) have a rung at 0 epochs below those of their bracket.
    """

    def __init__(
        self,
        *,
        grace: int,
        reduction: int,
        epochs: int,
        brackets: int = 1,
        scored_untrained: Callable[[int], bool] | None = None,
    ) -> None:
        levels = rung_epochs(grace, reduction, epochs)
        count = min(brackets, len(levels) + 1)
        self.epochs, self.reduction = epochs, reduction
        self._scored_untrained = scored_untrained
        first = () if scored_untrained is None else (0,)
        self.brackets = tuple((*first, *levels[s:]) for s in range(count))
        self._ladders = [{level: _Rung() for level in (*bracket, epochs)} for bracket in self.brackets]
        rungs = [len(levels) - s for s in range(count)]
        self._weights = [math.ceil(count / (number + 1) * reduction**number) for number in rungs]
        self._dealt: list[int] = []
        self._counts = [0] * count

    @classmethod
    def of(
        cls,
        stopping: EarlyStopping,
        epochs: int,
        ledger: Ledger,
        scored_untrained: Callable[[int], bool] | None = None,
    ) -> Rungs:
        """The rungs as the ledger's pauses, promotions and ends left them."""
        asha = stopping.kind == "asha"
        rungs = cls(
            grace=stopping.grace_epochs if asha else epochs, reduction=stopping.reduction, epochs=epochs,
            brackets=stopping.brackets, scored_untrained=scored_untrained if asha else None,
        )  # fmt: skip
        for event in ledger.events_of("paused", "promoted", "finished", "stopped"):
            trial = event.trial or 0
            rung = event.data.get("rung", epochs)
            if event.kind == "stopped":
                for level in rungs.levels(trial):
                    rungs.promote(trial, level)  # never again
            elif rung != epochs and rung not in rungs.levels(trial):
                continue  # the space's file was changed by hand
            elif event.kind == "promoted":
                rungs.promote(trial, rung)
            else:
                rungs.record(trial, rung, ledger.objective.key(event.data["value"]))
        return rungs

    def bracket(self, trial: int) -> int:
        """The bracket that a trial (numbers count from 1) is dealt to."""
        while len(self._dealt) < trial:
            dealt, total = len(self._dealt) + 1, sum(self._weights)
            behind = [w * dealt / total - count for w, count in zip(self._weights, self._counts, strict=True)]
            chosen = behind.index(max(behind))
            self._counts[chosen] += 1
            self._dealt.append(chosen)
        return self._dealt[trial - 1]

    def levels(self, trial: int) -> tuple[int, ...]:
        """The rungs (epochs) of a trial's bracket."""
        return self.brackets[self.bracket(trial)]

    def above(self, trial: int, rung: int) -> int | None:
        """The next rung above `rung` (0: the lowest) of a trial; None where it trains to the end. It is 0 for a trial
        that has still to be scored untrained."""
        if not rung and self._scored_untrained is not None and self._scored_untrained(trial):
            ladder = self._ladders[self.bracket(trial)]
            if trial not in ladder[0].scores:
                return 0
        return next((level for level in self.levels(trial) if level > rung), None)

    def record(self, trial: int, rung: int, score: float) -> list[Correlation]:
        """A score (higher is better) at a rung, or at the last epoch. Recording it again replaces it.

        The correlations that were taken anew, which is done here and nowhere else: so they follow from the order of the
        scores alone, and not from when somebody asks.
        """
        bracket = self.bracket(trial)
        self._ladders[bracket][rung].record(trial, score)
        below = self.below(trial, rung)
        levels = [level for level in (below, rung) if level is not None and level in self.brackets[bracket]]
        return [correlation for level in levels if (correlation := self._look(bracket, level)) is not None]

    def _look(self, bracket: int, rung: int) -> Correlation | None:
        """Takes the correlation of a rung with the next one anew; of many scores only after two in a hundred more, for
        that sorts them all."""
        ladder = self._ladders[bracket]
        lower, upper = ladder[rung], ladder[min(level for level in ladder if level > rung)]
        size = len(lower.scores) + len(upper.scores)
        if size < lower.look_at:
            return None
        lower.look_at = size + max(1, size // LOOK_EVERY) if size >= LOOK_EVERY else 0
        trials = [trial for trial in upper.scores if trial in lower.scores]
        scores = [lower.scores[trial] for trial in trials]
        value = spearman(scores, [upper.scores[trial] for trial in trials])
        estimate = None if value is None else corrected(value, list(lower.scores.values()), scores)
        lower.correlation = Correlation(bracket=bracket, rung=rung, value=value, corrected=estimate, n=len(trials))
        return lower.correlation

    def below(self, trial: int, rung: int) -> int | None:
        """The rung below `rung` (or below the last epoch) in a trial's bracket."""
        return max((level for level in self.levels(trial) if level < rung), default=None)

    def promote(self, trial: int, rung: int) -> None:
        """Notes that this trial has left the rung: it is not promoted from it again."""
        self._ladders[self.bracket(trial)][rung].let_go(trial)

    def correlation(self, bracket: int, rung: int) -> Correlation:
        """The rank correlation of a rung with the next one, or with the last epoch, as it was taken last."""
        undefined = Correlation(bracket=bracket, rung=rung, value=None, corrected=None, n=0)
        return self._ladders[bracket][rung].correlation or undefined

    def share(self, bracket: int, rung: int) -> float:
        """The share of the rung's trials that is promoted: 1/reduction, up to 1/2 where the correlation is low."""
        correlation, lowest = self.correlation(bracket, rung), 1 / self.reduction
        if correlation.corrected is None or correlation.n < ENOUGH:
            return lowest
        return lowest + (MOST - lowest) * min(1.0, max(0.0, (TRUSTED - correlation.corrected) / TRUSTED))

    def promotion(self) -> Promotion | None:
        """The best trial of the highest rung that has one among its best share."""
        for bracket, rung, standing in self._from_the_top():
            share = self.share(bracket, rung)
            quota = math.floor(len(standing.order) * share + 1e-9)
            if quota and standing.open and standing.open[0] <= standing.order[quota - 1]:
                return Promotion(trial=standing.open[0][1], bracket=bracket, rung=rung, share=share)
        return None

    def pushed_out(self, trial: int, rung: int, trials: int) -> int | None:
        """Of a search of so many trials: which of the rung's can no longer be promoted, whatever scores follow, since
        `trial` came to it (itself, or one that it pushed down); None for none, or one that has left the rung."""
        bracket = self.bracket(trial)
        standing = self._ladders[bracket][rung]
        dealt = trials * self._weights[bracket] / sum(self._weights) + len(self._weights)
        # All of the bracket may reach even a high rung: in a search that gets better and better each is promoted.
        quota = math.floor(min(trials, dealt) * MOST + 1e-9)
        if len(standing.order) <= quota:
            return None
        position = bisect_left(standing.order, (-standing.scores[trial], trial))
        loser = standing.order[max(position, quota)][1]
        return None if loser in standing.gone else loser

    def least_promising(self, trials: Iterable[int]) -> list[int]:
        """Those of the trials that wait at a rung, first whose score is furthest behind in it, as a share of the rung's
        trials; of equal ones that of the lower rung."""
        waiting = []
        for trial in trials:
            for rung in self.levels(trial):
                standing = self._ladders[self.bracket(trial)][rung]
                if trial in standing.scores and trial not in standing.gone:
                    position = bisect_left(standing.order, (-standing.scores[trial], trial))
                    waiting.append((-position / len(standing.order), rung, trial))
        return [trial for _, _, trial in sorted(waiting)]

    def last_promotion(self) -> Promotion | None:
        """For a search with nothing else to do and no trial trained in full: the best of the highest rung reached."""
        if any(ladder[self.epochs].scores for ladder in self._ladders):
            return None
        for bracket, rung, standing in self._from_the_top():
            if standing.open:
                return Promotion(trial=standing.open[0][1], bracket=bracket, rung=rung, share=0.0)
        return None

    def _from_the_top(self) -> Iterator[tuple[int, int, _Rung]]:
        rungs = [(rung, -bracket) for bracket, levels in enumerate(self.brackets) for rung in levels]
        for rung, bracket in sorted(rungs, reverse=True):
            yield -bracket, rung, self._ladders[-bracket][rung]


@dataclass
class _Rung:
    """Scores by trial; in `order` the best come first and, of equals, the earlier trial. `open` are those of them
    that were not promoted; `correlation` is the one with the next rung, taken anew once there are `look_at` scores at
    both."""

    scores: dict[int, float] = field(default_factory=dict)
    order: list[tuple[float, int]] = field(default_factory=list)
    open: list[tuple[float, int]] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    correlation: Correlation | None = None
    look_at: int = 0

    def record(self, trial: int, score: float) -> None:
        """The trial's score, in the place of an earlier one."""
        if trial in self.scores:
            self.order.remove((-self.scores[trial], trial))
        was_gone = trial in self.gone
        self.let_go(trial)
        self.scores[trial] = score
        insort(self.order, (-score, trial))
        if not was_gone:
            self.gone.remove(trial)
            insort(self.open, (-score, trial))

    def let_go(self, trial: int) -> None:
        """The trial is open no more: it was promoted, or is not to be."""
        if trial in self.scores and trial not in self.gone:
            self.open.remove((-self.scores[trial], trial))
        self.gone.add(trial)
