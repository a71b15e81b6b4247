"""Which parameters move the score: mean decrease in impurity (Breiman 2001), compared with that of shuffled values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from archsearch.analysis.report.choices import ABSENT, Column, features
from archsearch.analysis.report.figures import Importance, ImportanceRow
from archsearch.space.many.columns import FloatArray, IntArray

# Trials: of eight parameters the one that explains half of the variance is told from chance in four of five searches of
# so many or more, and in half of the searches of 12 (tests/analysis/report/test_importance.py simulates it).
FEWEST = 20
REPEATS, TREES = 40, 8  # of the shares
SHUFFLES, SHUFFLED_REPEATS, SHUFFLED_TREES = 39, 5, 4  # the second largest of 39 bounds 95 %
SHUFFLED_SIZE = 500  # trials of a sample, at most: a fit of more takes long
TINY = 1e-12
METHOD = (
    "mean decrease in impurity (MDI, Breiman 2001) of random forests of scikit-learn's trees, one forest a bootstrap "
    "sample of the trials; the interval is the middle 95 % of the samples. MDI favours choices of many values, and a "
    "choice without influence has a share too. Chance is the share that no choice exceeds in 95 % of cases when its "
    "values are shuffled, beside the others as they are. A search that has chosen its trials shows "
    "less of a choice that it soon settled on"
)


def importance(table: Sequence[Column], scores: FloatArray, *, seed: int = 0) -> Importance:
    """Each parameter's share of what the forests explain of (n,) scores, with its interval, the largest first.

    `chance` is the share that none of the parameters exceeds, each its own, in 95 % of cases where its values have
    nothing to do with the scores: only beyond it a parameter is influential. `explained` is R squared on trials that a
    sample left out, the mean over samples: at or below 0 the forests predict nothing. `why_not` says why there are
    none.
    """
    matrix, parameters = features(table)
    nothing: Importance = {"words": [], "method": METHOD, "explained": None, "n": len(scores), "why_not": ""}
    if len(scores) < FEWEST:
        return {**nothing, "why_not": f"{len(scores)} trials have a score to compare; {FEWEST} are needed"}
    if not parameters or np.ptp(scores) == 0:
        why_not = "all score the same" if parameters else "the trials do not differ in their choices"
        return {**nothing, "why_not": why_not}
    names = list(dict.fromkeys(parameters))
    owner = np.array([names.index(parameter) for parameter in parameters])
    rng = np.random.default_rng(seed)
    shares, explained = _forests(matrix, scores, owner, rng, REPEATS, TREES)
    low, high = np.quantile(shares, (0.025, 0.975), axis=0)
    chance = _chance(table, scores, owner, means := shares.mean(axis=0), rng)
    rows: list[ImportanceRow] = [
        {"word": names[i], "share": float(means[i]), "low": float(low[i]), "high": float(high[i]),
         "chance": float(chance[i])}
        for i in np.argsort(-means, kind="stable")
    ]  # fmt: skip
    return {**nothing, "words": rows, "explained": explained}


def _chance(
    table: Sequence[Column], scores: FloatArray, owner: IntArray, shares: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """For each parameter of `shares` (P,) the share that chance gives it: what, beside all of them, none of their
    shuffled copies exceeds in 95 % of cases, of each the same multiple of its mean (Westfall and Young 1993)."""
    count = len(shares)
    both = np.concatenate([owner, owner + count])
    drawn = np.empty((SHUFFLES, 2 * count))
    for row in drawn:
        copies = [replace(column, codes=_shuffled(column.codes, rng)) for column in table]
        matrix = np.hstack([features(table)[0], features(copies)[0]])
        row[:] = _forests(matrix, scores, both, rng, SHUFFLED_REPEATS, SHUFFLED_TREES, SHUFFLED_SIZE)[0].mean(axis=0)
    beside, shuffled = np.maximum(drawn[:, :count].mean(axis=0), TINY), drawn[:, count:]
    means = np.maximum(shuffled.mean(axis=0), TINY)
    largest = np.sort((shuffled / means).max(axis=1))[-2]
    return np.asarray(shares * means * largest / beside, np.float64)  # the copies have taken their part of the shares


def _shuffled(codes: IntArray, rng: np.random.Generator) -> IntArray:
    """The values in another order among the trials that have the choice: that some have it not is another's doing."""
    present, shuffled = codes != ABSENT, codes.copy()
    shuffled[present] = rng.permutation(codes[present])
    return shuffled


def _forests(
    matrix: FloatArray,
    scores: FloatArray,
    owner: IntArray,
    rng: np.random.Generator,
    repeats: int,
    trees: int,
    most: int | None = None,
) -> tuple[FloatArray, float | None]:
    """The parameters' shares, (repeats, P), in forests of samples of all trials (of `most` at most), and R squared on
    trials that were left out; None where that is unknown."""
    # The trees alone: sklearn.ensemble costs a second more to import, and as much again in its threads.
    from sklearn.tree import DecisionTreeRegressor

    n, matrix = len(scores), matrix.astype(np.float32)  # as the trees need it
    shares, fits = [], []
    for _ in range(repeats):
        drawn = rng.integers(0, n, min(n, most or n))
        forest = [
            DecisionTreeRegressor(max_features=0.5, min_samples_leaf=2, random_state=int(rng.integers(2**31)))
            for _ in range(trees)
        ]
        for tree in forest:
            tree.fit(matrix[drawn], scores[drawn], check_input=False)  # which would take as long as the fit
        features = np.mean([tree.feature_importances_ for tree in forest], axis=0)
        shares.append(np.bincount(owner, weights=features, minlength=int(owner.max()) + 1))
        held_out = np.setdiff1d(np.arange(n), drawn)
        spread = float(((scores[held_out] - scores[drawn].mean()) ** 2).sum()) if len(held_out) else 0.0
        if spread > 0:
            foretold = np.mean([tree.predict(matrix[held_out], check_input=False) for tree in forest], axis=0)
            fits.append(1 - float(((scores[held_out] - foretold) ** 2).sum()) / spread)
    return np.array(shares), float(np.mean(fits)) if fits else None
