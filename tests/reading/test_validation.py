"""pydantic's verdicts as problems with places, in plain words."""

import subprocess
import sys

import pytest

from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import InputError
from archsearch.reading.validation import validate
from archsearch.reading.yaml import read
from archsearch.space.search_settings import SearchSettings
from archsearch.space.settings import DataSettings

GOOD = "stages:\n  - {depth: 2, width: 8}\n  - {depth: 1, width: 16, block: {kind: bottleneck}}\n"


def problems(text: str, model: type = Architecture) -> list[tuple[int, int, str, str, str]]:
    with pytest.raises(InputError) as caught:
        validate(model, read(text))
    return [(p.line, p.column, p.message, p.allowed, p.hint) for p in caught.value.problems]


def test_a_good_file_is_the_architecture_it_describes() -> None:
    architecture = Architecture.from_yaml(GOOD)
    assert [stage.width for stage in architecture.stages] == [8, 16]
    assert Architecture.from_yaml(architecture.to_yaml()) == architecture


def test_an_unknown_word_is_placed_at_its_key_with_a_guess() -> None:
    ((line, column, found, allowed, hint),) = problems("stages:\n  - {depth: 2, widht: 8}")
    assert (line, column) == (2, 16)
    assert "'widht' in stages[0]" in found
    assert allowed == "depth, width, stride, compression, entry, block"
    assert hint == "did you mean width?"


def test_a_literal_lists_its_values_with_a_guess() -> None:
    text = GOOD.replace("bottleneck", "bottelneck")
    ((line, column, found, allowed, hint),) = problems(text)
    assert (line, column) == (3, 41)
    assert found == "stages[1].block.kind is 'bottelneck'"
    assert (allowed, hint) == ("single, basic, bottleneck", "did you mean bottleneck?")


@pytest.mark.parametrize(
    ("text", "allowed", "hint"),
    [
        ("classes: 0", "an integer from 1 to 100000", ""),
        ("classes: '10'", "an integer from 1 to 100000", "without quotes"),
        ("classes: 10.0", "an integer from 1 to 100000", "write it as 10"),
        ("classes: true", "an integer from 1 to 100000", ""),
        ("survival: {last: 0}", "a number above 0 and at most 1", ""),
        ("stem: {norm: yes}", "true or false or null", "true or false"),
        ("stem: {kernel: 4}", "odd kernels, 1 to 11", ""),
        ("input: [3, 32]", "a list of 3, each an integer", ""),
        ("survival: [linear]", "a mapping with the keys schedule, last, blocks, per, rescale", ""),
        ("archsearch: 2", "1", ""),
    ],
)
def test_a_wrong_value_says_what_is_allowed(text: str, allowed: str, hint: str) -> None:
    ((line, _, _, said, told),) = problems(GOOD + text)
    assert line == 4
    assert said == allowed
    assert hint in told


def test_a_missing_word_is_placed_where_it_should_stand() -> None:
    ((line, column, found, allowed, _),) = problems("stages:\n  - {depth: 2}\n  - {width: 8}")
    assert (line, column) == (3, 5)
    assert found == "the key depth is missing in stages[1]"
    assert allowed == "depth: an integer from 1 to 1024"


def test_a_union_is_one_problem_in_one_sentence() -> None:
    assert problems("limit: 3", DataSettings) == [(1, 8, "limit is 3", "an integer of at least 10 or null", "")]
    ((_, _, _, allowed, _),) = problems("validation: half", DataSettings)
    assert allowed == "a number of images, or a share below 1 or a mapping with the keys folds"


def test_a_mappings_unknown_key_is_placed_at_the_key() -> None:
    ((line, column, found, allowed, _),) = problems("objectives: {accuracy: max, lateness: max}", SearchSettings)
    assert (line, column) == (1, 29)
    assert "'lateness'" in found
    assert allowed == (
        "accuracy, top5_accuracy, balanced_accuracy, macro_f1, auc, mean_average_precision, exact_match, "
        "mean_absolute_error, root_mean_square_error, r2, flops, params, macs, activations, memory, latency"
    )


def test_all_problems_come_at_once_sorted_by_line_and_twenty_at_most() -> None:
    text = "classes: 0\nstages:\n" + "  - {depth: 0}\n" * 5 + "stem: {kernl: 3}\n"
    assert [line for line, *_ in problems(text)] == [1, 3, 4, 5, 6, 7, 8]
    many = problems("stages:\n" + "  - {depth: 0, widht: 1}\n" * 16)
    assert len(many) == 20
    assert many[-1][2] == "and 13 more problems"


def test_an_empty_file_and_a_list_say_what_a_file_holds() -> None:
    assert problems("")[0][2] == "an empty file"
    assert problems("- 1")[0][3].startswith("a mapping with the keys archsearch, name, input")


def test_a_dict_from_python_is_refused_in_the_same_words() -> None:
    endless: dict[str, object] = {}
    endless["stages"] = [endless]
    for data in ({"stages": [{"depth": 0}]}, endless, {"stages": object()}):
        with pytest.raises(InputError, match="stages"):
            Architecture.from_dict(data)


def test_importing_errors_loads_neither_pydantic_nor_yaml() -> None:
    code = "import sys, archsearch.reading.errors; print({'pydantic', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
