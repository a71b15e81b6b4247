"""The settings of `search:`: objectives, sampler, what ends the search; Duration, a length of time as a person writes
it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from archsearch.experiment.objective import Objective, Sense
from archsearch.reading.allowed import Allowed
from archsearch.reading.durations import DURATION_ALLOWED, DURATION_PATTERN, format_duration, parse_duration
from archsearch.reading.model import StrictModel
from archsearch.space.budget import Count
from archsearch.space.domains import as_tuple
from archsearch.space.tasks import METRICS, OWN_NAME

StatesLimit = Annotated[
    Annotated[Count, Field(ge=1)] | Literal["auto"],
    Allowed("auto, or a number of bytes such as 500M or 10G"),
]
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Allowed(DURATION_ALLOWED),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 1}, {"type": "string", "pattern": DURATION_PATTERN}]}),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
]


class EarlyStopping(StrictModel):
    """Asynchronous successive halving (ASHA, Li 2018, arXiv:1810.05934): trials pause at rungs; the best go on."""

    kind: Literal["asha", "none"] = Field(
        "asha",
        description="asha: trials pause at rungs, and only the best of each rung go on (Li "
        "2018, arXiv:1810.05934); none: every trial is trained in full.",
    )
    grace_epochs: int = Field(1, ge=1, description="Epochs of the first rung: every trial trains at least this long.")
    reduction: int = Field(
        3,
        ge=2,
        le=10,
        description="One in `reduction` of a rung's trials goes on, and each rung has `reduction` "
        "times the epochs of the one before. Where the ranking at a rung agrees little "
        "with the next rung's (a rank correlation below 0.7, corrected for selection, "
        "over 6 trials or more), more of them go on: up to a half at 0 and below.",
    )
    brackets: int = Field(
        1,
        ge=1,
        le=20,
        description="Number of Hyperband brackets (Li 2018, arXiv:1603.06560). Trials are assigned "
        "to them by number, most to the first; the first rung of bracket s is at "
        "grace_epochs * reduction^s epochs.",
    )

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Every epoch at which a trial of so many epochs may pause, rising; none with kind none."""
        return rung_epochs(self.grace_epochs, self.reduction, epochs) if self.kind == "asha" else ()


def rung_epochs(grace: int, reduction: int, epochs: int) -> tuple[int, ...]:
    """The epochs grace * reduction^k below `epochs`, for k = 0, 1, ... (Li 2018, arXiv:1810.05934, algorithm 2)."""
    return tuple(grace * reduction**k for k in range(64) if grace * reduction**k < epochs)


ObjectiveName = Literal[
    "accuracy",
    "top5_accuracy",
    "balanced_accuracy",
    "macro_f1",
    "auc",
    "mean_average_precision",
    "exact_match",
    "mean_absolute_error",
    "root_mean_square_error",
    "r2",
    "flops",
    "params",
    "macs",
    "activations",
    "memory",
    "latency",
]
NAMES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)
COSTS = tuple(name for name in NAMES if name not in METRICS)
OWN_METRICS = "own_metrics"  # of pydantic's context: the names in `data.metrics` of the file


def _named(name: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """One of NAMES, or a metric of `data.metrics`."""
    try:
        return handler(name)
    except ValidationError:
        if name in (info.context or {}).get(OWN_METRICS, ()):
            return name
        raise


Objectives = dict[
    Annotated[
        ObjectiveName,
        WrapValidator(_named),
        WithJsonSchema({"anyOf": [{"enum": list(NAMES)}, {"type": "string", "pattern": f"^{OWN_NAME}$"}]}),
    ],
    Sense,
]


SamplerName = Literal["auto", "random", "evolution", "local_search", "bayes", "tpe", "nsga2", "nsga3", "gp", "cmaes"]


FinishShare = Annotated[
    Annotated[float, Field(ge=0.05, le=1)] | Literal["auto", "none"],
    Allowed("auto, none, or a share of the search's time from 0.05 to 1"),
]


Networks = Annotated[tuple[str, ...], BeforeValidator(as_tuple), Allowed("a list of up to 64 texts")]


def _most_accurate() -> Objectives:
    return {"accuracy": "max"}


def seeking(metric: str) -> Objectives:
    """The objectives of a search by one metric of METRICS and by no cost."""
    return {cast("ObjectiveName", metric): METRICS[metric].sense}


class OptunaSampler(StrictModel):
    """One of Optuna's samplers, through its public interface."""

    optuna: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="The class as module:Class, such as optuna.samplers:TPESampler.",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Arguments of its constructor.")


class SearchSettings(StrictModel):
    """What is sought, by whom, for how long."""

    objectives: Objectives = Field(
        default_factory=_most_accurate,
        description="One metric of the validation images with its sense, such as macro_f1: max or "
        "mean_absolute_error: min, alone or with costs to be minimised, such as flops: "
        "min. With costs, the search looks for the Pareto front. A metric of `data.metrics` "
        "is max or min. Default: accuracy; "
        "balanced_accuracy if a class has more than ten times the training images of "
        "another; mean_average_precision for several labels; r2 for regression.",
    )
    sampler: SamplerName | OptunaSampler = Field(
        "auto",
        description="How candidates are proposed: random (every network within the budget is "
        "equally likely), evolution (regularised, Real 2019), local_search (White "
        "2021), bayes (a Gaussian process over parameters and exact costs), auto "
        "(bayes); Optuna's tpe (Bergstra 2011), nsga2 (Deb 2002), nsga3, gp and cmaes, "
        "or any of its samplers by class: {optuna: optuna.samplers:QMCSampler}. A "
        "class of another module needs --allow-sampler on the command line, since "
        "importing it runs code.",
    )
    experience: Literal["auto", "none"] = Field(
        "auto",
        description="What bayes (without costs among the objectives) knows before its first trial. auto: "
        "which networks scored higher in earlier experiments, whatever their data, "
        "and in archsearch's own benchmarks; earlier experiments are those of "
        "--learn-from, otherwise the ten newest in experiments/ (none with "
        "--output). It is stored in the experiment, so resuming does not change it. "
        "none: nothing.",
    )
    first: Networks = Field(
        (),
        max_length=64,
        description="Networks that are tried before all others, in this order: plain (the largest plain residual "
        "network of the space within the budget; none where there is none), a name of `archsearch zoo`, or a YAML "
        "file. Each has to be a network of the space, within the budget.",
    )
    trials: int = Field(24, ge=1, le=1_000_000, description="Number of trials.")
    epochs: int | None = Field(
        None,
        ge=1,
        description="Total number of epochs of all trials. No trial begins or is promoted whose "
        "epochs to its next rung or its end would exceed it. Until one trial has "
        "finished, enough epochs are reserved to train one in full.",
    )
    wall_time: Duration | None = Field(
        None,
        description="The search ends within this time (30m, 8h), over all its sessions. The last "
        "part, up to 75 %, is reserved for the best trials so far, one per worker, "
        "which train to the end in as many epochs as fit.",
    )
    finish: FinishShare = Field(
        "auto",
        description="After the search, its best networks are retrained for up to three times the "
        "epochs, with a plain residual network of the same budget for comparison, "
        "within this share of the search's time (of `wall_time` if it is set; the "
        "search then ends earlier). The best on validation becomes the "
        "winner. auto: a quarter, for searches of at least 8 trials and three minutes "
        "without `wall_time`, if the best is still improving and 1.5 times the epochs "
        "fit; none: no retraining.",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**32,
        description="Random seed. The same seed and experience give the same search (with one trial at a time).",
    )
    checkpoint_every: Duration = Field(
        60.0,
        description="How often the state of a running trial is saved, at the end of an epoch: the "
        "most training that a crash can lose.",
    )
    states: StatesLimit = Field(
        "auto",
        description="Most bytes on disk of the states of trials that run or are paused. Of paused trials that can "
        "still be promoted the least promising lose theirs first, and train from the beginning if they are "
        "promoted after all. auto: half of the free disk.",
    )
    epoch_limit: Duration = Field(
        7200.0,
        description="Time limit of an epoch. A worker that takes longer is killed, and the trial is tried once more.",
    )
    trial_limit: Duration | None = Field(
        None,
        description="Time limit of a trial's epochs in total. A trial that takes longer fails at the end of its epoch.",
    )
    early_stopping: EarlyStopping = Field(
        default_factory=lambda: EarlyStopping.model_validate({}), description="Early stopping of trials."
    )

    @property
    def objective(self) -> Objective:
        """The metric among the objectives: one of METRICS, or of `data.metrics`, whose values are shown as numbers."""
        name, sense = next((name, sense) for name, sense in self.objectives.items() if name not in COSTS)
        return Objective(name=name, sense=sense, percent=name in METRICS and METRICS[name].percent)

    @property
    def trial_time(self) -> float | None:
        """Seconds of the wall time for the trials themselves; None without a wall time."""
        if self.wall_time is None or isinstance(self.finish, str):
            return self.wall_time
        return (1 - self.finish) * self.wall_time

    @model_validator(mode="before")
    @classmethod
    def _without_screen(cls, data: Any) -> Any:
        """Experiments of version 0.1.0 have a setting written out that is no more."""
        if isinstance(data, Mapping) and data.get("screen", ...) is None:
            return {name: value for name, value in data.items() if name != "screen"}
        return data

    @model_validator(mode="after")
    def _seeks_one_metric(self) -> Self:
        for name, sense in self.objectives.items():
            right = METRICS[name].sense if name in METRICS else "min" if name in COSTS else sense
            if sense != right:
                raise ValueError(f"objectives: {name}: {sense}; allowed: {name}: {right}")
        metrics = [name for name in self.objectives if name not in COSTS]
        if len(metrics) != 1:
            listed = f"the metrics {', '.join(metrics)}" if metrics else "no metric"
            raise ValueError(
                f"objectives with {listed}; allowed: one metric, such as accuracy: max, alone or with costs to be "
                "minimised"
            )
        return self
