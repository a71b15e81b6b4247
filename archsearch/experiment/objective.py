"""The metric by which a search ranks its networks: the one place that knows which of two values is better, under which
names the ledger keeps them, and how a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Sense = Literal["max", "min"]
ACCURACY = "accuracy"
_LABELS = {
    "top5_accuracy": "top-5 accuracy",
    "macro_f1": "macro-F1",
    "auc": "AUC",
    "r2": "R squared",
}  # of a metric whose name is not what a person writes


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A metric of the validation images: its `name`, whether its values should be large or small (`sense`), and whether
    they are shares from 0 to 1 that people read as percentages (`percent`)."""

    name: str = ACCURACY
    sense: Sense = "max"
    percent: bool = True

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Objective:
        """That of a ledger, by its `meta`; accuracy for one of an earlier archsearch, which knew no other."""
        metric = meta.get("metric")
        return cls() if metric is None else cls(**{key: metric[key] for key in ("name", "sense", "percent")})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    # ---- names

    @property
    def validation(self) -> str:
        """Its name among the metrics of an epoch: `validation_accuracy`."""
        return f"validation_{self.name}"

    @property
    def test(self) -> str:
        """Its name among what a look at the test split measured: `test_accuracy`."""
        return f"test_{self.name}"

    @property
    def label(self) -> str:
        """The metric as a person names it within a sentence: `macro-F1`, `mean absolute error`."""
        return _LABELS.get(self.name, self.name.replace("_", " "))

    @property
    def title(self) -> str:
        """The label at the beginning of a line."""
        return self.label[0].upper() + self.label[1:]

    @property
    def plural(self) -> str:
        """The label of several values: `accuracies`."""
        return f"{self.label[:-1]}ies" if self.label.endswith("accuracy") else f"values of {self.label}"

    @property
    def is_never_negative(self) -> bool:
        """Whether all of its values are known to be 0 or more: shares, and errors."""
        return self.percent or self.name.endswith("_error")

    @property
    def highest(self) -> str:
        """`highest` or `lowest`: what the best value is."""
        return "highest" if self.sense == "max" else "lowest"

    # ---- values

    def key(self, value: float) -> float:
        """The value turned so that more is better, for whatever sorts or compares; its own inverse."""
        return value if self.sense == "max" else -value

    def better(self, value: float, other: float) -> bool:
        """Whether `value` is better than `other`; of equals neither is."""
        return self.key(value) > self.key(other)

    def gain(self, value: float, other: float) -> float:
        """By how much `value` is better than `other`, in the metric's unit; negative where it is worse."""
        return self.key(value) - self.key(other)

    def of_result(self, measured: Mapping[str, Any]) -> float:
        """Its value in what a training measured on one split, as result.json has that. Raises KeyError."""
        return float(measured[self.name])

    def text(self, value: float, digits: int = 2) -> str:
        """A value as a person reads it: `93.04 %`, or with four digits where it is no share."""
        return f"{100 * value:.{digits}f} %" if self.percent else f"{value:.4g}"

    @property
    def unit(self) -> str:
        """What stands after a number of it."""
        return " %" if self.percent else ""

    def number(self, value: float, sign: str = "") -> str:
        """A value or a difference without its unit, with a sign where that is `+`."""
        return f"{100 * value:{sign}.2f}" if self.percent else f"{value:{sign}.4g}"

    def named(self, value: float, digits: int = 2) -> str:
        """A value with its metric, such as `macro-F1 93.04 %`; of accuracy, which a percentage alone says, without
        it."""
        text = self.text(value, digits)
        return text if self.name == ACCURACY else f"{self.label} {text}"

    def points(self, difference: float, digits: int = 2) -> str:
        """A difference of two values: `1.20 points` (of a percentage), or `0.035` where they are no shares."""
        return f"{100 * difference:.{digits}f} points" if self.percent else f"{difference:.3g}"


BY_ACCURACY = Objective()
