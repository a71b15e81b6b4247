"""The settings of `search:`: objectives, sampler, what ends the search; Duration, a length of time as a person writes
it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from archsearch.reading.allowed import Allowed
from archsearch.reading.durations import DURATION_ALLOWED, DURATION_PATTERN, format_duration, parse_duration
from archsearch.reading.model import StrictModel

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
        "asha", description="asha: trials pause at rungs, and those that are behind go no further; none: they never do."
    )
    grace_epochs: int = Field(1, ge=1, description="The first rung: every trial trains for this many epochs.")
    reduction: int = Field(
        3,
        ge=2,
        le=10,
        description="Of a rung's trials one in `reduction` goes on; rungs lie this factor apart. Where a rung's order "
        "says little of the next one's (a rank correlation below 0.7, corrected for the choice, over 6 trials or more) "
        "more of them go on: up to a half at 0 and below.",
    )
    brackets: int = Field(
        1,
        ge=1,
        le=20,
        description="Hyperband's brackets (Li 2018, arXiv:1603.06560): trials are dealt to them by number, most to the "
        "first; the first rung of bracket s lies at grace_epochs * reduction^s.",
    )

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Every epoch at which a trial of so many epochs may pause, rising; none with kind none."""
        return rung_epochs(self.grace_epochs, self.reduction, epochs) if self.kind == "asha" else ()


def rung_epochs(grace: int, reduction: int, epochs: int) -> tuple[int, ...]:
    """The epochs grace * reduction^k below `epochs`, for k = 0, 1, ... (Li 2018, arXiv:1810.05934, algorithm 2)."""
    return tuple(grace * reduction**k for k in range(64) if grace * reduction**k < epochs)


Objective = Literal["accuracy", "flops", "params", "macs", "activations", "memory"]


SamplerName = Literal["auto", "random", "evolution", "local_search", "bayes", "tpe", "nsga2", "nsga3", "gp", "cmaes"]


FinishShare = Annotated[
    Annotated[float, Field(ge=0.05, le=1)] | Literal["auto", "none"],
    Allowed("auto, none, or a share of the search's time from 0.05 to 1"),
]


def _most_accurate() -> dict[Objective, Literal["max", "min"]]:
    return {"accuracy": "max"}


class OptunaSampler(StrictModel):
    """One of Optuna's samplers, through its public interface."""

    optuna: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="The class, such as optuna.samplers:TPESampler."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="What its constructor is given.")


class SearchSettings(StrictModel):
    """What is sought, by whom, for how long."""

    objectives: dict[Objective, Literal["max", "min"]] = Field(
        default_factory=_most_accurate,
        description="accuracy: max (on the validation images), and beside it costs to be least, such as flops: min: "
        "then the Pareto front is sought, kept and shown.",
    )
    sampler: SamplerName | OptunaSampler = Field(
        "auto",
        description="Who proposes: random (every network within the budget as likely as any other), evolution "
        "(regularised, Real 2019), local_search (White 2021), bayes (a Gaussian process over choices and exact costs), "
        "auto (bayes, with several objectives too); of Optuna's tpe (Bergstra 2011), nsga2 (Deb 2002), nsga3, gp and "
        "cmaes, or any by its class: {optuna: optuna.samplers:QMCSampler}. A class of another module needs "
        "--allow-sampler on the command line, for importing it runs code.",
    )
    trials: int = Field(24, ge=1, le=1_000_000, description="Trials in all.")
    epochs: int | None = Field(
        None,
        ge=1,
        description="Epochs in all, of all trials together: no trial begins or is promoted whose epochs to its next "
        "rung or its end would go beyond. Until one has finished, enough are held back to train one in full.",
    )
    wall_time: Duration | None = Field(
        None,
        description="The search ends within this time (30m, 8h), all its sessions together: the last part, up to 75 %, "
        "is kept for the best trials so far, one a lane, which train to the end in as many epochs as fit.",
    )
    finish: FinishShare = Field(
        "auto",
        description="After the search its best are trained anew for up to three times the epochs, beside a plain "
        "residual network of the same budget, within this share of the search's time (of `wall_time`, where there is "
        "one: the search then ends so much earlier). The most accurate on validation is handed over. auto: a quarter, "
        "for 8 trials and three minutes or more without `wall_time`, where the best still gains and 1.5 times the "
        "epochs fit; none.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="The same seed gives the same search (with one trial at a time).")
    checkpoint_every: Duration = Field(
        60.0,
        description="The state of a running trial is saved after an epoch, once this long after the last time: what a "
        "crash may cost.",
    )
    epoch_limit: Duration = Field(
        7200.0, description="A worker that trains longer at an epoch hangs: it is killed, the trial tried once more."
    )
    trial_limit: Duration | None = Field(
        None, description="A trial whose epochs add up to more fails at the next one's end."
    )
    early_stopping: EarlyStopping = Field(
        default_factory=lambda: EarlyStopping.model_validate({}), description="Which trials are stopped early."
    )

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
    def _seeks_accuracy(self) -> Self:
        for name, sense in self.objectives.items():
            if sense != ("max" if name == "accuracy" else "min"):
                raise ValueError(f"objectives: {name}: {sense}; allowed: accuracy: max, and min of costs")
        if "accuracy" not in self.objectives:
            raise ValueError("objectives without accuracy; allowed: accuracy: max, alone or beside costs to be least")
        return self
