"""Which parameters move the score: mean decrease in impurity (Breiman 2001), with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsearch.analysis.report.choices import Column, features
from archsearch.analysis.report.figures import Importance, ImportanceRow
from archsearch.space.many.columns import FloatArray

FEWEST = 12  # trials
REPEATS, TREES = 40, 8
METHOD = (
    "mean decrease in impurity (MDI, Breiman 2001) of random forests of scikit-learn's trees, one forest a bootstrap "
    "sample of the trials; the interval is the middle 95 % of the samples. MDI favours words of many values, and a "
    "search that has chosen its trials shows less of a word that it soon settled on"
)


def importance(table: Sequence[Column], scores: FloatArray, *, seed: int = 0) -> Importance:
    """Each parameter's share of what the forests explain of (n,) scores, with its interval, the largest first.

    `explained` is R squared on trials that a sample left out, the mean over samples: at or below 0 the forests foretell
    nothing, and the shares mean little. `why_not` says why there are none.
    """
    matrix, parameters = features(table)
    nothing: Importance = {"words": [], "method": METHOD, "explained": None, "n": len(scores), "why_not": ""}
    if len(scores) < FEWEST:
        return {**nothing, "why_not": f"{len(scores)} trials have a score to compare; {FEWEST} are needed"}
    if not parameters or np.ptp(scores) == 0:
        why_not = "all score the same" if parameters else "the trials do not differ in their words"
        return {**nothing, "why_not": why_not}
    names = list(dict.fromkeys(parameters))
    owner = np.array([names.index(parameter) for parameter in parameters])
    shares, explained = _forests(matrix, scores, owner, seed)
    low, high = np.quantile(shares, (0.025, 0.975), axis=0)
    means = shares.mean(axis=0)
    rows: list[ImportanceRow] = [
        {"word": names[i], "share": float(means[i]), "low": float(low[i]), "high": float(high[i])}
        for i in np.argsort(-means, kind="stable")
    ]
    return {**nothing, "words": rows, "explained": explained}


def _forests(matrix: FloatArray, scores: FloatArray, owner: FloatArray, seed: int) -> tuple[FloatArray, float | None]:
    # The trees alone: sklearn.ensemble costs a second more to import, and as much again in its threads.
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng(seed)
    n = len(scores)
    shares, fits = [], []
    for _ in range(REPEATS):
        drawn = rng.integers(0, n, n)
        forest = [
            DecisionTreeRegressor(max_features=0.5, min_samples_leaf=2, random_state=int(rng.integers(2**31)))
            for _ in range(TREES)
        ]
        for tree in forest:
            tree.fit(matrix[drawn], scores[drawn])
        features = np.mean([tree.feature_importances_ for tree in forest], axis=0)
        shares.append(np.bincount(owner, weights=features, minlength=int(owner.max()) + 1))
        held_out = np.setdiff1d(np.arange(n), drawn)
        spread = float(((scores[held_out] - scores[drawn].mean()) ** 2).sum()) if len(held_out) else 0.0
        if spread > 0:
            foretold = np.mean([tree.predict(matrix[held_out]) for tree in forest], axis=0)
            fits.append(1 - float(((scores[held_out] - foretold) ** 2).sum()) / spread)
    return np.array(shares), float(np.mean(fits)) if fits else None
