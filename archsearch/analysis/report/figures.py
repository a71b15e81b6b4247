"""The report's figures as types: the JSON that `archsearch report --json` prints, and from which the page is drawn.

Keys and their order are a format that scripts rely on. Values are of the search's `metric` in its own unit, accuracies
and other shares from 0 to 1; costs are by name (`flops`, `params`, ...), hours are those of all workers added up, and a
trial is named by its id, such as t0001.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from archsearch.analysis.distributions import Edf, ExpectedBest
from archsearch.analysis.mistakes import Mistakes
from archsearch.analysis.report.reading import AnalysisPage
from archsearch.analysis.residuals import Residuals
from archsearch.experiment.records import Scalar


class MeanInterval(TypedDict):
    """A mean over `n` seeds with its interval, as `archsearch confirm` writes it (`intervals.Interval`)."""

    mean: float
    low: float | None
    high: float | None
    half: float | None
    deviation: float | None
    n: int
    confidence: float
    values: NotRequired[list[float]]


class TestAccuracy(TypedDict):
    """The metric on the test split of a winner that was not retrained."""

    mean: float
    half: None
    n: int


class Winner(TypedDict):
    """The best trial. `low` to `high` is an interval over what `of` names: seeds, or validation images."""

    trial: str
    value: float
    half: float | None
    low: float | None
    high: float | None
    of: str
    test: MeanInterval | TestAccuracy | None
    confirmed: bool
    digest: str
    cost: Mapping[str, float]
    training: Mapping[str, Scalar]


class BoundUse(TypedDict):
    """A bound of the budget, and what the winner takes of it."""

    name: str
    low: float | None
    high: float | None
    used: float | None


class Spent(TypedDict):
    """What the search took: seconds by the clock, hours of workers and of GPUs, epochs, hours of training alone."""

    seconds: float
    lane_hours: float
    gpu_hours: float | None
    epochs: int
    training_hours: float


class TrialRow(TypedDict):
    """A trial: `value` is its value after `epochs`, `trained` all of its epochs; `curve` and `training_curve` are
    (epoch, value) on the validation and on the training images."""

    trial: str
    state: str
    value: float | None
    epochs: int | None
    trained: int
    seconds: float
    cost: Mapping[str, float]
    choices: Mapping[str, Scalar]
    curve: list[tuple[int, float]]
    random: bool
    attempts: int
    digest: str
    seed: int
    training_curve: list[tuple[int, float]]


class Baseline(TypedDict):
    """A network of the literature: trained here by confirm, by its published accuracy, or by its cost alone."""

    name: str
    cost: Mapping[str, float]
    kind: Literal["trained", "published", "cost"]
    value: float | None


class RungRow(TypedDict):
    """A rung, as `experiment.records.Rung` describes it."""

    bracket: int
    epochs: int
    trials: int
    promoted: int
    correlation: float | None
    corrected: float | None
    n: int


class Rise(TypedDict):
    """A score better than all before it: after so many trials and hours; the number of its trial."""

    trials: int
    hours: float
    value: float
    trial: int


class RandomDraws(TypedDict):
    """What `n` random draws are expected to find; `why_not` where that is not known."""

    why_not: str
    n: int
    how: NotRequired[str]
    best: NotRequired[ExpectedBest]
    hours_each: NotRequired[float | None]


class Progress(TypedDict):
    """The best so far: `compared` after `level` epochs, `finished` after `full`."""

    level: int | None
    full: int
    compared: list[Rise]
    finished: list[Rise]
    trials: int
    hours: float
    gpus: float
    random: RandomDraws
    random_search: list[Rise]


class SampleEdf(Edf):
    """An EDF of `n` scores."""

    n: int


class Distribution(TypedDict):
    """EDFs of the scores after `level` epochs: of all trials, and of those drawn at random."""

    level: int | None
    search: SampleEdf | None
    space: SampleEdf | None
    all_random: bool
    why_not: str


class ImportanceRow(TypedDict):
    """A parameter's share of what the forests explain, with its interval, and the share that is `chance`."""

    word: str
    share: float
    low: float
    high: float
    chance: float


class Importance(TypedDict):
    """The parameters' importance over `n` trials; `why_not` where there is none."""

    words: list[ImportanceRow]
    method: str
    explained: float | None
    n: int
    why_not: str


class Range(TypedDict):
    """Where the best networks lie in a cost or a parameter; `whole` is what all trials have, `kept` what the best."""

    name: str
    kind: Literal["cost", "word"]
    low: Any
    median: Any
    high: Any
    whole: list[Any]
    kept: list[Scalar] | None


Change = TypedDict("Change", {"word": str, "from": str, "to": str})


class Narrower(TypedDict):
    """Where the best networks lie, and the YAML of a space of those alone, or why there is none (`why_not`). `size` is
    the combinations of the space (before, after); `checked` says whether the YAML was read as a space."""

    ranges: list[Range]
    yaml: str | None
    method: str
    changes: list[Change]
    size: list[float | None] | None
    checked: NotRequired[bool]
    why_not: str


class FailureGroup(TypedDict):
    """Failed trials of one reason: how many, the first of them, and the epochs that were lost."""

    reason: str
    count: int
    trials: list[str]
    epochs: int


class ConfirmedRow(TypedDict):
    """A network that `archsearch confirm` retrained."""

    name: str
    kind: str
    trial: int | None
    winner: bool
    digest: str
    params: int
    flops: int
    macs: int
    note: str
    training: NotRequired[Mapping[str, Scalar]]
    validation: MeanInterval | None
    test: MeanInterval | None


class Difference(TypedDict):
    """The lead of one network over another, seed by seed; `p` is adjusted for all comparisons."""

    of: str
    over: str
    validation: MeanInterval | None
    test: MeanInterval | None
    p: NotRequired[float | None]
    told_apart: bool


class Confirmation(TypedDict):
    """What the report shows of confirm.json."""

    state: str
    winner: str
    chosen: str
    differences: list[Difference] | None
    confidence: float
    notes: list[str] | None
    random: Mapping[str, Any] | None
    search: Mapping[str, Any]
    seeds: list[int]
    folds: int | None
    power: Mapping[str, Any] | None
    rows: list[ConfirmedRow]


class Fact(TypedDict):
    """What it takes to do the search again, such as a version or a seed."""

    what: str
    value: str


class Document(TypedDict):
    """The whole report. `common` is the number of epochs after which trials are compared, `full` a full training's;
    `pretrained` is a confirmation's verdict on fine-tuned networks; `remarks` are sentences on the winner, `floor` has
    the accuracies of simple models; `front` are the trials that none beats in the metric and FLOPs, `pareto` those of
    several objectives; `mistakes` are the winner's, image by image, or `residuals`."""

    experiment: str
    folder: str
    state: str
    reason: str | None
    trials: Mapping[str, Any]
    winner: Winner | None
    pretrained: Mapping[str, Any] | None
    remarks: list[str]
    floor: Mapping[str, Any] | None
    budget: list[BoundUse]
    spent: Spent
    picked: str
    next: list[str]
    mlflow: str | None
    analyses: list[AnalysisPage]
    metric: Mapping[str, Any]
    objectives: Mapping[str, str]
    full: int
    common: int | None
    rows: list[TrialRow]
    front: list[str]
    pareto: list[dict[str, Any]] | None
    baselines: list[Baseline]
    rungs: list[RungRow]
    progress: Progress
    importance: Importance
    distribution: Distribution
    top: list[str]
    failures: list[FailureGroup]
    confirmed: Confirmation | None
    narrower: Narrower
    mistakes: Mistakes | None
    residuals: Residuals | None
    why_no_mistakes: str
    facts: list[Fact]


def winner_of(report: Document) -> str | None:
    """The winner's id; None where there is none."""
    return report["winner"]["trial"] if report["winner"] is not None else None
