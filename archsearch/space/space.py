"""SearchSpace: every network that a file allows, and how one is drawn from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from archsearch.architecture.cost import Cost
from archsearch.architecture.memory import training_bytes
from archsearch.architecture.spec import Architecture
from archsearch.reading.document import Document
from archsearch.space.budget import Budget, Price
from archsearch.space.choices import Choices
from archsearch.space.conditions import most_stages
from archsearch.space.domains import Domain
from archsearch.space.parameters import Parameter
from archsearch.space.sampling import build, draw
from archsearch.space.search_settings import SearchSettings
from archsearch.space.settings import DataSettings, ResourceSettings, TrainingSettings
from archsearch.space.size import Size, measure
from archsearch.space.stage_domains import PerStage
from archsearch.space.start_settings import StartSettings
from archsearch.space.trainings import Trainings

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A search-space file as resolved. `parameters`, those of a network, stand in an order in which each can be asked;
    `trainings` knows those of a training. `input` is (channels, height, width) of an image, of the largest ones where
    `data.size` is a parameter.

    `notes` tells what was settled otherwise than the file says, for people; `document` knows the file's lines.
    """

    name: str
    parameters: Mapping[str, Parameter]
    input: tuple[int, int, int]
    classes: int
    budget: Budget
    data: DataSettings
    search: SearchSettings
    trainings: Trainings
    resources: ResourceSettings
    start: StartSettings | None = None
    file: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    document: Document = field(default_factory=lambda: Document(data={}, file=""), compare=False, repr=False)

    @property
    def training(self) -> TrainingSettings:
        """The recipe of every trial, but for the settings that vary: of those it has the first value."""
        return self.trainings.base

    @property
    def inputs(self) -> frozenset[tuple[int, int, int]]:
        """The inputs that its networks have: several where `data.size` is a parameter."""
        if self.data.varied_size is None:
            return frozenset([self.input])
        return frozenset((self.input[0], *size) for size in self.data.sizes)

    @property
    def every_parameter(self) -> dict[str, Parameter]:
        """The parameters of a network, and after them those of its training where some vary."""
        return {**self.parameters, **self.trainings.parameters}

    def at(self, image: tuple[int, int, int]) -> SearchSpace:
        """This space with images of this input (channels, height, width), one of `inputs`, in place of the largest."""
        return self if image == self.input else replace(self, input=image, data=self.data.at(image))

    def networks_alone(self) -> SearchSpace:
        """This space without the parameters of its training."""
        return replace(self, trainings=Trainings(base=self.training))

    def architecture(self, choices: Choices) -> Architecture:
        """The architecture that `choices` picks; `trainings.settings` is its training's.

        Names are dotted paths: `block`, `stage1.depth`, `survival.schedule`. A parameter whose `when` does
        not hold is not asked. Raises InputError where the choices allow values that do not go together, NotInSpace
        where their linear widths give stages that the space does not allow.
        """
        candidate = draw(self.parameters, choices)
        return build(candidate, image=self.input, classes=self.classes, file=self.file)

    def price(self, cost: Cost) -> Price:
        """What a network of this cost costs by every name that a budget may bound, but for its latency."""
        return Price(**cost.to_dict(), memory=self.training_bytes(cost.params, cost.saved, cost.largest, cost.image))

    def training_bytes(self, params: int, saved: int, largest: int, image: int = 0) -> int:
        """Bytes that training a network of these counts is predicted to take, by this file's recipe: by the
        one that takes most, where its settings vary. Arrays may be given for counts."""
        batch = self.trainings.most("batch_size")
        return training_bytes(
            params=params, saved=saved, largest=largest, image=image,
            batch=min(batch, self.training.micro_batch or batch),
            optimizer=self.trainings.most("optimizer"),
            precision="bfloat16" if self.training.precision == "bfloat16" else "float32",
            average=self.trainings.most("ema") > 0,
        )  # fmt: skip

    def dimensions(self) -> Iterator[tuple[str, Domain]]:
        """Every question that a sample may ask, in order: its name, and its domain."""
        stages = most_stages(self.parameters["stages"])
        for parameter in self.every_parameter.values():
            if parameter.domain is not None and not (parameter.derived_from or isinstance(parameter.domain, PerStage)):
                questions = enumerate(parameter.questions(stages))
                yield from ((question, parameter.domain.of_stage(stage)) for stage, question in questions)

    def size(self) -> int | float:
        """How many distinct combinations of choices there are, inf with a continuous domain.

        Exact, or an upper bound where `extent().exact` is false.
        """
        return self.extent().count

    def extent(self) -> Size:
        """The size, and whether it is exact."""
        return measure(self.every_parameter)

    def networks(self) -> Size:
        """How many of the combinations there are of the network's parameters alone."""
        return measure(self.parameters)

    def to_dict(self) -> dict[str, Any]:
        """As a file holds it, every setting written out, so that other defaults later do not change it."""
        space: dict[str, Any] = {}
        for parameter in filter(attrgetter("is_written"), self.parameters.values()):
            into = space.setdefault(parameter.term.group, {}) if parameter.term.group else space
            into[parameter.term.field if parameter.term.group else parameter.name] = parameter.to_data()
        return {
            "archsearch": FORMAT,
            "name": self.name,
            "data": self.data.model_dump(mode="json"),
            "space": space,
            **({} if self.start is None else {"start": self.start.model_dump(mode="json")}),
            "budget": self.budget.to_data(),
            "search": self.search.model_dump(mode="json"),
            "training": self.trainings.to_data(),
            "resources": self.resources.model_dump(mode="json"),
        }

    def to_yaml(self) -> str:
        """The resolved file; it loads back to an equal space."""
        from archsearch.reading.yaml import write

        return write(self.to_dict())
