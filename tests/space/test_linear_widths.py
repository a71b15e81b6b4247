"""RegNet's linear widths: its published networks from their numbers; a space of them counted, drawn and proposed."""

import math
import re
from collections import Counter as Tally
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.reading.document import Document
from archsearch.reading.errors import InputError
from archsearch.space.choices import RandomChoices, RecordedChoices, Recorder
from archsearch.space.datasets import DataFacts
from archsearch.space.loading import load_space, space_of
from archsearch.space.many.cost_table import NAMES
from archsearch.space.many.counting import Counter
from archsearch.space.many.encoding import encode
from archsearch.space.many.feasible import Feasible
from archsearch.space.many.grid import Grid
from archsearch.space.many.survey import survey
from archsearch.space.reach import largest, smallest
from archsearch.space.sampling import NotInSpace
from archsearch.space.space import SearchSpace
from archsearch.study.distributions import distributions

IMAGENET = DataFacts(input=(3, 224, 224), classes=1000, task="single_label")
# name: (depth, w_0, w_a, w_m, group width), (depths, widths), as in the paper's appendix (table of RegNetX models)
PUBLISHED = {
    "regnetx_002": ((13, 24, 36.44, 2.49, 8), ([1, 1, 4, 7], [24, 56, 152, 368])),
    "regnetx_004": ((22, 24, 24.48, 2.54, 16), ([1, 2, 7, 12], [32, 64, 160, 384])),
    "regnetx_006": ((16, 48, 36.97, 2.24, 24), ([1, 3, 5, 7], [48, 96, 240, 528])),
    "regnetx_008": ((16, 56, 35.73, 2.28, 16), ([1, 3, 7, 5], [64, 128, 288, 672])),
    "regnetx_016": ((18, 80, 34.01, 2.25, 24), ([2, 4, 10, 2], [72, 168, 408, 912])),
    "regnetx_032": ((25, 88, 26.31, 2.25, 48), ([2, 6, 15, 2], [96, 192, 432, 1008])),
}


def regnet(numbers: tuple, **more: object) -> Architecture:
    depth, initial, slope, multiplier, group_width = numbers
    linear = {"depth": depth, "initial": initial, "slope": slope, "multiplier": multiplier}
    words = {
        "stem": {"width": 32, "stride": 2}, "stages": 4, "stride": 2, "linear_widths": linear, "block": "bottleneck",
        "bottleneck_ratio": 1.0, "group_width": group_width, **more,
    }  # fmt: skip
    document = Document(data={"archsearch": 1, "name": "regnet", "data": {"name": "folder"}, "space": words}, file="")
    return space_of(document, data=IMAGENET).architecture(RecordedChoices({}))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_stages_come_out_of_their_numbers(name: str) -> None:
    numbers, (depths, widths) = PUBLISHED[name]
    network = regnet(numbers)
    assert ([s.depth for s in network.stages], [s.width for s in network.stages]) == (depths, widths)


def test_the_networks_of_timm_have_as_many_parameters() -> None:
    """All of the X and Y series, but for those whose widths torchvision rounds otherwise, or that are too wide."""
    timm = pytest.importorskip("timm")
    configs = timm.models.regnet.model_cfgs
    names = [name for name in configs if re.fullmatch(r"regnet[xy]_\d+", name) and name != "regnety_2560"]
    assert len(names) == 26
    for name in names:
        cfg = configs[name]
        attention = {"attention": "se", "attention_at": "inside", "attention_from": "input", "attention_reduction": 4}
        network = regnet((cfg.depth, cfg.w0, cfg.wa, cfg.wm, cfg.group_size), **attention if cfg.se_ratio else {})
        with torch.device("meta"):
            theirs = timm.create_model(name, pretrained=False)
        assert cost(network).params == sum(p.numel() for p in theirs.parameters()), name


SPACE = """\
archsearch: 1
name: linear
data: {name: digits}
space:
  stem: {width: 8}
  stages: {int: [2, 3]}
  linear_widths:
    depth: {int: [3, 7]}
    initial: {choice: [8, 16, 24]}
    slope: {float: [0, 12], step: 3}
    multiplier: {float: [1.5, 3], step: 0.5}
  block: {choice: [basic, bottleneck]}
  bottleneck_ratio: {choice: [0.5, 1.0], when: {block: bottleneck}}
  group_width: {choice: [4, 12], each: stage, when: {block: bottleneck}}
budget: {flops: {between: [100k, 400k]}}
search: {trials: 3}
"""


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    return written(tmp_path, SPACE)


def written(folder: Path, text: str) -> SearchSpace:
    (folder / "space.yaml").write_text(text)
    return load_space(folder / "space.yaml")


def by_hand(depth: int, initial: int, slope: float, multiplier: float) -> list[tuple[int, int]]:
    """(width, depth) of every stage, block by block."""
    widths = []
    for block in range(depth):
        power = round(math.log((initial + slope * block) / initial) / math.log(multiplier))
        widths.append(8 * round(initial * multiplier**power / 8))
    return [(width, len(list(blocks))) for width, blocks in groupby(widths)]


def test_what_is_drawn_has_the_stages_that_the_numbers_give(space: SearchSpace) -> None:
    refused = 0
    for seed in range(200):
        recorder = Recorder(RandomChoices(seed))
        try:
            network = space.architecture(recorder)
        except NotInSpace:
            refused += 1
            assert len(by_hand(*list(recorder.taken.values())[:4])) not in (2, 3)
            continue
        taken = recorder.taken
        stages = by_hand(*(taken[f"linear_widths.{n}"] for n in ("depth", "initial", "slope", "multiplier")))
        assert [stage.depth for stage in network.stages] == [depth for _, depth in stages]
        for number, (stage, (width, _)) in enumerate(zip(network.stages, stages, strict=True), start=1):
            if taken["block"] == "basic":
                assert stage.width == width
            else:
                inner = int(width * taken["bottleneck_ratio"])
                group = min(taken[f"stage{number}.group_width"], inner)
                assert stage.width == int(round(inner / group) * group / taken["bottleneck_ratio"])
        assert not {"stages", "depth", "width"} & {name.split(".")[-1] for name in taken if "linear" not in name}
        assert space.architecture(RecordedChoices(taken)) == network
    assert 0 < refused < 150


def test_rows_are_counted_as_the_networks_that_they_make(space: SearchSpace) -> None:
    grid = Grid(space.parameters)
    rows = grid.draw(300, np.random.default_rng(0))
    counter = Counter(grid, image=space.input, classes=space.classes)
    counts, possible = counter.count(rows)
    assert 0 < possible.sum() < len(rows)
    for row, found, there in zip(rows, counts, possible, strict=True):
        choices = grid.choices(row)
        if not there:
            assert counter.one(row.tolist()) is None
            with pytest.raises(NotInSpace):
                space.architecture(RecordedChoices(choices))
            continue
        recorder = Recorder(RecordedChoices(choices))
        counted = cost(space.architecture(recorder))
        assert recorder.taken == choices, "the grid asks what sampling asks"
        assert found.tolist() == [getattr(counted, name) for name in NAMES] == list(counter.one(row.tolist()) or ())
    assert (grid.settle(rows.copy(), np.random.default_rng(1)) == rows).all()


def test_the_size_is_exact_and_everything_is_listed(tmp_path: Path, space: SearchSpace) -> None:
    slopes, multipliers = [3.0 * step for step in range(5)], [1.5, 2.0, 2.5, 3.0]
    stages = [len(by_hand(*numbers)) for numbers in product(range(3, 8), [8, 16, 24], slopes, multipliers)]
    ways = Tally(stages)
    expected = sum(ways[number] * (1 + 2 * 2**number) for number in (2, 3))
    rows = Grid(space.parameters).everything(100_000)
    assert rows is not None and space.extent().exact
    assert space.size() == expected == len(np.unique(rows, axis=0)) == len(rows)
    assert written(tmp_path, SPACE.replace(", step: 3", "")).size() == math.inf
    conditional = "survival: {schedule: {choice: [none, linear], when: {width: 16}}}\nbudget:"
    assert not written(tmp_path, SPACE.replace("budget:", f"  {conditional}")).extent().exact


def test_candidates_are_uniform_within_the_budget_and_the_allowed_stages(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Feasible(space, seed=0)
    assert whole.everything is not None
    candidates = {row.tobytes() for row in whole.everything}
    for row in whole.everything[::40]:
        network = space.architecture(RecordedChoices(whole.grid.choices(row)))
        assert 100_000 <= cost(network).flops <= 400_000 and len(network.stages) in (2, 3)
        near = whole.neighbours(row, 50, np.random.default_rng(0))
        assert {other.tobytes() for other in near} <= candidates
    monkeypatch.setattr("archsearch.space.many.feasible.SMALL", 0)
    drawn = Feasible(space, seed=1)
    rows = [row.tobytes() for _ in range(9) for row in drawn._block()]
    tally = Tally(row for row in rows if row in candidates)
    assert sum(tally.values()) > 5 * len(candidates)
    assert chisquare([tally[row] for row in candidates]).pvalue > 0.001


@pytest.mark.parametrize("count", ["flops", "params"])
def test_the_extremes_are_those_of_all_networks(tmp_path: Path, count: str) -> None:
    space = written(tmp_path, SPACE.replace("budget: {flops: {between: [100k, 400k]}}\n", ""))
    everything = Feasible(space, seed=0)
    assert everything.everything is not None
    costs = everything.costs(everything.everything)[count]
    assert getattr(smallest(space, count).cost, count) == costs.min()
    assert getattr(largest(space, count).cost, count) == costs.max()


def test_check_tells_what_has_other_stages_from_what_runs_out_of_pixels(space: SearchSpace) -> None:
    surveyed = survey(space, samples=2_000)
    assert surveyed.other_stages > 200 and surveyed.impossible == 0
    assert surveyed.unreachable is not None


def test_the_resolved_file_is_the_same_space(tmp_path: Path, space: SearchSpace) -> None:
    assert {"depth", "width"}.isdisjoint(space.to_dict()["space"])
    again = written(tmp_path, space.to_yaml())
    assert (again.parameters, list(again.parameters)) == (space.parameters, list(space.parameters))
    names = [f"linear_widths.{name}" for name in ("depth", "initial", "slope", "multiplier")]
    groups = [f"stage{number}.group_width" for number in (1, 2, 3)]
    assert list(distributions(space)) == [*names, "block", "bottleneck_ratio", *groups]


def test_a_network_leads_back_to_its_row_by_the_numbers_that_are_recorded(space: SearchSpace) -> None:
    grid = Grid(space.parameters)
    rows = Feasible(space, seed=0).draw(20, np.random.default_rng(0))
    for row in rows:
        network = space.architecture(RecordedChoices(choices := grid.choices(row)))
        found = encode(space, grid, network, space.training, recorded=choices)
        assert not isinstance(found, str)
        assert digest(space.architecture(RecordedChoices(grid.choices(found)))) == digest(network)
    assert encode(space, grid, network, space.training) == "linear_widths.depth = unknown"


@pytest.mark.parametrize(
    ("old", "new", "position", "message"),
    [
        ("  block:", "  depth: 2\n  block:", (12, 3), "depth is set beside linear_widths"),
        ("  block:", "  width: {choice: [8, 16]}\n  block:", (12, 3), "width is set beside linear_widths"),
        ("    initial: {choice: [8, 16, 24]}\n", "", (7, 3), "linear_widths.initial is missing"),
        (
            "stages: {int: [2, 3]}",
            "stages: 9",
            (6, 11),
            "none of 2,000 networks drawn has such stages; of the last one the linear widths give",
        ),
        ("step: 0.5", "step: 0.5, when: {block: basic}", (11, 46), "has no default"),
        ("[1.5, 3]", "[1, 3]", (11, 26), "linear_widths.multiplier"),
    ],
)
def test_what_cannot_be_is_refused_at_its_line(
    tmp_path: Path, old: str, new: str, position: tuple[int, int], message: str
) -> None:
    assert old in SPACE
    with pytest.raises(InputError) as caught:
        written(tmp_path, SPACE.replace(old, new, 1))
    (problem, *_) = caught.value.problems
    assert message in problem.message, problem
    assert (problem.line, problem.column) == position
