"""From words to architectures: what is asked, in which stages, in which order, and what comes out."""

from pathlib import Path

import pytest

from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture, Head, Stage, Stem, Survival
from archsearch.reading.errors import InputError
from archsearch.space.choices import RandomChoices, RecordedChoices, Recorder
from archsearch.space.linear_widths import LinearWidths
from archsearch.space.parameters import groups, vocabulary

from .spaces import space_of

CIFAR = Path(__file__).parents[2] / "search_spaces" / "resnet_cifar.yaml"


def test_every_field_of_the_models_is_a_word_once() -> None:
    fields = [*Stage.model_fields, *Block.model_fields]
    fields += [f"stem.{f}" for f in Stem.model_fields] + [f"head.{f}" for f in Head.model_fields]
    fields += [f"survival.{f}" for f in Survival.model_fields]
    fields += [f"linear_widths.{f}" for f in LinearWidths.model_fields]
    expected = {"block" if f == "kind" else f for f in fields} | {"stages"}
    assert set(vocabulary()) == expected
    assert len([f for f in fields if f != "block"]) + 1 == len(vocabulary())
    assert list(groups()) == ["stem", "head", "survival", "linear_widths"]


def test_a_space_without_choices_is_one_architecture(tmp_path: Path) -> None:
    words = """
        stages: 2
        depth: {each: stage, values: [3, 1]}
        width: {each: stage, values: [8, 16]}
        block: bottleneck
        stem: {width: 8, pool: max}
        survival: {schedule: linear, last: 0.8}
    """
    space = space_of(tmp_path, words)
    block = Block(kind="bottleneck")
    assert space.architecture(RecordedChoices({})) == Architecture(
        input=(1, 8, 8),
        stem=Stem(width=8, pool="max"),
        stages=(Stage(depth=3, width=8, stride=1, block=block), Stage(depth=1, width=16, stride=2, block=block)),
        survival=Survival(schedule="linear", last=0.8),
    )
    assert space.size() == 1
    assert list(space.dimensions()) == []


def test_only_the_stages_that_there_are_are_asked(tmp_path: Path) -> None:
    space = space_of(tmp_path, "stages: {int: [1, 3]}\ndepth: {int: [1, 2], each: stage}\nwidth: 8")
    for seed in range(20):
        recorder = Recorder(RandomChoices(seed))
        architecture = space.architecture(recorder)
        stages = recorder.taken["stages"]
        assert len(architecture.stages) == stages
        assert list(recorder.taken) == ["stages", *(f"stage{i + 1}.depth" for i in range(stages))]
    assert [name for name, _ in space.dimensions()] == ["stages", "stage1.depth", "stage2.depth", "stage3.depth"]


def test_a_whole_word_is_asked_once_for_all_stages(tmp_path: Path) -> None:
    space = space_of(tmp_path, "stages: 3\ndepth: {int: [1, 9]}\nwidth: 8\nstride: {choice: [1, 2]}")
    architecture = space.architecture(RecordedChoices({"depth": 7, "stride": 2}))
    assert [(stage.depth, stage.stride) for stage in architecture.stages] == [(7, 2)] * 3


@pytest.mark.parametrize(("order", "widths"), [("increasing", [8, 16, 32]), ("decreasing", [32, 16, 8])])
def test_ordered_stages_draw_from_the_whole_domain_and_are_sorted(
    tmp_path: Path, order: str, widths: list[int]
) -> None:
    space = space_of(tmp_path, f"stages: 3\ndepth: 1\nwidth: {{choice: [8, 16, 32], each: stage, order: {order}}}")
    taken = {"stage1.width": 16, "stage2.width": 32, "stage3.width": 8}
    assert [stage.width for stage in space.architecture(RecordedChoices(taken)).stages] == widths
    assert {len(domain.choice) for _, domain in space.dimensions()} == {3}  # type: ignore[attr-defined]


def test_a_word_whose_condition_fails_is_not_asked_and_keeps_its_default(tmp_path: Path) -> None:
    words = """
        cardinality: {choice: [2, 4], when: {block: bottleneck, link: [plain, residual]}}
        stages: 1
        depth: 1
        width: 8
        link: {choice: [plain, residual, dense]}
        block: {choice: [basic, bottleneck]}
    """
    space = space_of(tmp_path, words)
    for block, link, asked in (
        ("basic", "plain", False),
        ("bottleneck", "residual", True),
        ("bottleneck", "dense", False),
    ):
        recorder = Recorder(RecordedChoices({"block": block, "link": link, "cardinality": 4}))
        architecture = space.architecture(recorder)
        assert ("cardinality" in recorder.taken) is asked
        assert architecture.stages[0].block.cardinality == (4 if asked else 1)


def test_a_condition_on_a_stages_word_holds_stage_by_stage(tmp_path: Path) -> None:
    words = """
        stages: 3
        depth: 1
        width: 8
        block: {choice: [basic, bottleneck], each: stage}
        cardinality: {choice: [2, 4], each: stage, when: {block: bottleneck}}
        bottleneck_ratio: {choice: [0.5, 1.0], when: {block: bottleneck}}
        survival: {schedule: {choice: [none, linear], when: {block: bottleneck}}}
    """
    blocks = {"stage1.block": "basic", "stage2.block": "bottleneck", "stage3.block": "basic"}
    space = space_of(tmp_path, words)
    recorder = Recorder(
        RecordedChoices({**blocks, "stage2.cardinality": 4, "bottleneck_ratio": 1.0, "survival.schedule": "linear"})
    )
    stages = space.architecture(recorder).stages
    assert list(recorder.taken)[3:] == ["bottleneck_ratio", "stage2.cardinality", "survival.schedule"]
    assert [stage.block.cardinality for stage in stages] == [1, 4, 1]
    assert [stage.block.bottleneck_ratio for stage in stages] == [0.25, 1.0, 0.25]
    none = Recorder(RecordedChoices(dict.fromkeys(blocks, "basic")))
    space.architecture(none)
    assert list(none.taken) == list(blocks)


def test_within_a_group_a_bare_name_means_the_groups_own_word(tmp_path: Path) -> None:
    words = """
        stages: 1
        depth: 1
        width: 8
        survival: {last: {float: [0.5, 0.9], step: 0.1, when: {schedule: linear}}, schedule: {choice: [none, linear]}}
        stem: {width: {choice: [8, 16], when: {survival.schedule: none}}}
    """
    space = space_of(tmp_path, words)
    one = space.architecture(RecordedChoices({"survival.schedule": "linear", "survival.last": 0.7}))
    assert (one.survival.last, one.stem.width) == (0.7, 16)
    other = space.architecture(RecordedChoices({"survival.schedule": "none", "stem.width": 8}))
    assert (other.survival.last, other.stem.width) == (0.5, 8)


def test_a_condition_on_a_word_that_is_not_set_looks_at_its_default(tmp_path: Path) -> None:
    words = "stages: 2\ndepth: 1\nwidth: 8\nshortcut: {choice: [A, B], when: {link: residual}}\n"
    assert space_of(tmp_path, words).size() == 2
    assert space_of(tmp_path, words.replace("link: residual", "link: dense")).size() == 1
    per_stage = words.replace("[A, B], when: {link: residual}", "[A, B], each: stage, when: {stride: 2}")
    assert _asked(space_of(tmp_path, per_stage)) == ["stage2.shortcut"]


def test_width_may_be_left_out_with_dense_links_alone(tmp_path: Path) -> None:
    assert space_of(tmp_path, "stages: 1\ndepth: 1\nlink: dense").size() == 1
    with pytest.raises(InputError, match="width is missing"):
        space_of(tmp_path, "stages: 1\ndepth: 1\nlink: {choice: [dense, residual]}")


def test_a_grid_gives_the_decimals_that_a_person_writes(tmp_path: Path) -> None:
    words = "stages: 1\ndepth: 1\nwidth: 8\nsurvival: {last: {float: [0.5, 1.0], step: 0.1}}"
    space = space_of(tmp_path, words)
    drawn = {space.architecture(RandomChoices(seed)).survival.last for seed in range(60)}
    assert drawn == {0.5, 0.6, 0.7, 0.8, 0.9, 1.0}


def test_the_recorded_choices_of_a_sample_give_it_again(tmp_path: Path) -> None:
    from archsearch.space.loading import load_space

    space = load_space(CIFAR)
    seen = set()
    for seed in range(60):
        recorder = Recorder(RandomChoices(seed))
        architecture = space.architecture(recorder)
        assert space.architecture(RecordedChoices(recorder.taken)) == architecture
        assert set(recorder.taken) <= {name for name, _ in space.dimensions()}
        widths = [stage.width for stage in architecture.stages]
        assert widths == sorted(widths)
        seen.add(digest(architecture))
    assert len(seen) > 50


def _asked(space: object) -> list[str]:
    recorder = Recorder(RandomChoices(0))
    space.architecture(recorder)  # type: ignore[attr-defined]
    return list(recorder.taken)
