"""How many combinations a space holds, and the least and most that they cost, against brute force."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from archsearch.architecture.cost import cost
from archsearch.reading.errors import InputError
from archsearch.space.choices import Scalar
from archsearch.space.loading import load_space
from archsearch.space.reach import largest, smallest
from archsearch.space.sampling import draw
from archsearch.space.space import SearchSpace

from .spaces import space_of

SMALL = {
    "plain": "stages: 2\ndepth: {int: [1, 3]}\nwidth: 8",
    "varying stages": "stages: {int: [1, 3]}\ndepth: {int: [1, 2], each: stage}\nwidth: 8",
    "sorted": "stages: 3\ndepth: 1\nwidth: {choice: [8, 16, 32], each: stage, order: increasing}",
    "condition": """stages: 1
        depth: {int: [1, 4]}
        width: 8
        block: {choice: [basic, bottleneck]}
        cardinality: {choice: [1, 2, 4], when: {block: bottleneck}}""",
    "conditions by stage": """stages: 2
        depth: {int: [1, 3], each: stage}
        width: 8
        block: {choice: [basic, bottleneck], each: stage}
        cardinality: {choice: [1, 2], each: stage, when: {block: bottleneck, depth: [1, 3]}}
        bottleneck_ratio: {choice: [0.5, 1.0], when: {block: bottleneck}}""",
    "condition on sorted": """stages: 2
        depth: 1
        width: {choice: [8, 16, 32], each: stage, order: decreasing}
        growth_rate: {choice: [4, 8], each: stage, when: {width: 8}}""",
    "condition on stages": """stages: {int: [1, 2]}
        depth: {int: [1, 2], when: {}}
        width: 8
        stem: {width: {choice: [4, 8], when: {stages: 2}}}""",
    "chain": """stages: 1
        depth: 1
        width: {choice: [8, 16], when: {link: [plain, residual]}}
        link: {choice: [plain, residual, dense]}
        growth_rate: {choice: [4, 8], when: {link: dense}}
        survival: {schedule: {choice: [none, linear], when: {growth_rate: 4}}, last: {float: [0.5, 0.9], step: 0.2,
            when: {schedule: linear}}}""".replace("\n            when", " when"),
    "options of each stage": """stages: {int: [1, 3]}
        depth: {each: stage, choices: [[1], [1, 2], [1, 2, 3]]}
        width: {each: stage, choices: [[8, 4], [8, 6, 4], [16]]}
        stem: {width: {same_as: stage1.width}}
        growth_rate: {choice: [4, 8], each: stage, when: {depth: [2, 3]}}""",
    "grid": "stages: 1\ndepth: 1\nwidth: 8\nbottleneck_ratio: {float: [0.25, 1.0], step: 0.25}\nblock: bottleneck",
}


class _Odometer:
    """Brute force of its own: walks every answer of every question."""

    def __init__(self, path: list[int]) -> None:
        self.path, self.at, self.width = path, 0, []

    def pick(self, options: Sequence[Scalar]) -> Scalar:
        if self.at == len(self.path):
            self.path.append(0)
        self.width.append(len(options))
        self.at += 1
        return options[self.path[self.at - 1]]

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        return self.pick(options)

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self.pick(range(low, high + 1, step))  # type: ignore[return-value]

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        assert step
        return self.pick([low + step * i for i in range(round((high - low) / step) + 1)])  # type: ignore[return-value]


def everything(space: SearchSpace) -> tuple[set[str], list[object]]:
    combinations, architectures = set(), []
    path: list[int] = []
    while True:
        odometer = _Odometer(path)
        combinations.add(str(draw(space.parameters, odometer)))
        path = path[: len(odometer.width)]
        architectures.append(space.architecture(_Odometer(list(path))))
        while path and path[-1] == odometer.width[len(path) - 1] - 1:
            path.pop()
        if not path:
            return combinations, architectures
        path[-1] += 1


@pytest.mark.parametrize("name", SMALL)
def test_the_size_is_what_counting_by_hand_gives(tmp_path: Path, name: str) -> None:
    space = space_of(tmp_path, SMALL[name])
    combinations, _ = everything(space)
    assert space.extent().exact
    assert space.size() == len(combinations)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("count", ["flops", "params", "activations"])
def test_the_extremes_of_a_small_space_are_exact(tmp_path: Path, name: str, count: str) -> None:
    space = space_of(tmp_path, SMALL[name])
    counts = [getattr(cost(architecture), count) for architecture in everything(space)[1]]  # type: ignore[arg-type]
    least, most = smallest(space, count), largest(space, count)
    assert (getattr(least.cost, count), getattr(most.cost, count)) == (min(counts), max(counts))
    assert least.exact
    assert cost(least.architecture) == least.cost


def test_in_a_large_space_descent_finds_the_least_that_is_known(tmp_path: Path) -> None:
    words = """stages: {int: [1, 3]}
        depth: {int: [1, 18], each: stage}
        width: {choice: [64, 8, 32, 16], each: stage}
        block: {choice: [bottleneck, basic]}
        bottleneck_ratio: {choice: [1.0, 0.25], when: {block: bottleneck}}"""
    space = space_of(tmp_path, words)
    found = smallest(space, "params")
    assert not found.exact
    one = space_of(tmp_path, "stages: 1\ndepth: 1\nwidth: 8\nblock: bottleneck\nbottleneck_ratio: 0.25")
    assert found.cost.params <= smallest(one, "params").cost.params


def test_a_continuous_word_makes_it_infinite(tmp_path: Path) -> None:
    words = "stages: 1\ndepth: 1\nwidth: 8\nsurvival: {last: {float: [0.5, 1.0]}}"
    space = space_of(tmp_path, words)
    assert space.size() == math.inf
    assert str(space.extent()) == "infinitely many"


def test_too_many_cases_give_an_upper_bound_that_says_so(tmp_path: Path) -> None:
    words = """stages: 12
        depth: {int: [1, 9], each: stage}
        width: 8
        stride: 1
        block: {choice: [basic, bottleneck], each: stage}
        link: {choice: [plain, residual], each: stage}
        cardinality: {choice: [1, 2], each: stage, when: {block: bottleneck, link: plain}}"""
    space = space_of(tmp_path, words)
    assert not space.extent().exact
    assert space.size() == 9**12 * 2**36
    assert str(space.extent()).startswith("at most ")


@pytest.mark.parametrize("beside", ["latency: {max: 5}", "memory: {max: 1G}", "latency: {max: 5}, memory: {max: 1G}"])
def test_a_bound_out_of_reach_is_refused_beside_one_of_what_is_measured_or_predicted(tmp_path, beside: str) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(
        "archsearch: 1\nname: small\ndata: {name: digits}\nspace: {stages: 1, depth: 1, width: {choice: [8, 16]}}\n"
        f"budget: {{flops: {{max: 1k}}, {beside}}}\n"
    )
    with pytest.raises(InputError, match="the smallest that this space can reach is") as refused:
        load_space(file)
    assert len(refused.value.problems) == 1
