"""Whatever is wrong with a search-space file is said at its line and column, with what is allowed."""

import random
import re
import time
from pathlib import Path

import pytest

from archsearch.reading.errors import InputError, Problem
from archsearch.space.loading import load_space

GOOD = """\
archsearch: 1
name: test
data: {name: digits}
space:
  stages: 2
  depth: {int: [1, 3], each: stage}
  width: {choice: [8, 16], each: stage, order: increasing}
  block: {choice: [basic, bottleneck]}
  cardinality: {choice: [1, 2, 4], when: {block: bottleneck}}
  survival: {schedule: {choice: [none, linear]}}
budget: {flops: {max: 10M}}
search: {trials: 8}
"""


def problems(tmp_path: Path, text: str) -> tuple[Problem, ...]:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        load_space(path)
    assert time.process_time() - started < 2
    assert str(caught.value).count("\n") < 10
    assert all(problem.file == str(path) for problem in caught.value.problems)
    return caught.value.problems


# name: (old, new, line, column, found, allowed, hint)
BROKEN = {
    "bad option": (
        "basic, bottleneck", "basic, bottelneck", 8, 27, "'bottelneck'", "basic, bottleneck", "bottleneck?",
    ),
    "bad fixed word": ("{choice: [basic, bottleneck]}", "bsic", 8, 10, "'bsic'", "basic, bottleneck", "basic?"),
    "unknown key": ("depth:", "dept:", 6, 3, "unknown key 'dept'", "depth", "did you mean depth?"),
    "unknown key in a group": ("{schedule:", "{scedule:", 10, 14, "'scedule' in", "schedule, last", "schedule?"),
    "unknown top word": ("\nsearch:", "\nserach:", 12, 1, "'serach'", "budget, search", "did you mean search?"),
    "unknown setting": ("trials:", "trails:", 12, 10, "'trails' in search", "trials", "did you mean trials?"),
    "unknown data": ("digits}", "digts}", 3, 14, "'digts'", "digits, cifar10", "did you mean digits?"),
    "option out of range": ("[1, 2, 4]", "[0, 2, 4]", 9, 26, "is 0", "an integer from 1 to 65536", ""),
    "option of a wrong type": ("[8, 16]", "[8, wide]", 7, 23, "'wide'", "an integer from 1 to 8192", ""),
    "option quoted": ("[8, 16]", "[8, '16']", 7, 23, "'16'", "an integer", "without quotes"),
    "option twice": ("[8, 16]", "[8, 8]", 7, 19, "8 is there twice", "each option once", ""),
    "no options": ("[8, 16]", "[]", 7, 19, "is []", "a list of 1 to 1000", ""),
    "nested option": ("[8, 16]", "[8, [16]]", 7, 23, "[16]", "a plain value", ""),
    "range ends above": ("[1, 3]", "[1, 2000]", 6, 20, "", "an integer from 1 to 1024", ""),
    "range starts below": ("[1, 3]", "[0, 3]", 6, 17, "is 0", "an integer from 1 to 1024", ""),
    "range reversed": ("[1, 3]", "[3, 1]", 6, 10, "[3, 1] is empty", "low <= high", ""),
    "range of three": ("[1, 3]", "[1, 2, 3]", 6, 16, "[1, 2, 3]", "two integers", ""),
    "range off its step": ("[1, 3], each", "[1, 4], step: 2, each", 6, 10, "4 is not 1 plus", "[1, 3] or [1, 5]", ""),
    "float range for an integer": ("{int: [1, 3], each", "{float: [1.5, 3.5], each", 6, 19, "1.5", "an integer", ""),
    "unknown key of a domain": ("each: stage}", "eahc: stage}", 6, 24, "'eahc'", "each, when", "did you mean each?"),
    "each of what": ("each: stage}", "each: block}", 6, 30, "'block'", "stage", ""),
    "no domain at all": ("{int: [1, 3], each: stage}", "{chioce: [1]}", 6, 10, "chioce", "{choice: [...]}", "choice?"),
    "two domains in one": ("{int: [1, 3]", "{int: [1, 3], choice: [1]", 6, 10, "int:", "{choice: [...]}", ""),
    "bare list": (
        "{int: [1, 3], each: stage}", "[1, 3]", 6, 10, "a list", "{choice: [...]}", "write {choice: [1, 3]}",
    ),
    "order without each": ("each: stage, order", "order", 7, 10, "order without each", "with each: stage", ""),
    "order of words": (
        "basic, bottleneck]", "basic], each: stage, order: increasing", 8, 48, "not numbers", "among", "",
    ),
    "each for a group": ("linear]}", "linear], each: stage}", 10, 49, "whole network", "without each", ""),
    "group that is no mapping": ("{schedule: {choice: [none, linear]}}", "linear", 10, 13, "'linear'", "schedule", ""),
    "even kernel": ("  survival:", "  stem: {kernel: {int: [3, 7]}}\n  survival:", 10, 28, "kernel 4", "odd", ""),
    "when of an unknown key": ("when: {block:", "when: {blok:", 9, 43, "'blok'", "block", "did you mean block?"),
    "when of a bad value": ("block: bottleneck}", "block: wide}", 9, 50, "'wide'", "basic, bottleneck", ""),
    "when in a circle": (
        "bottleneck]}", "bottleneck], when: {cardinality: 1}}", 8, 46, "block ->", "without when", "",
    ),
    "when on itself": ("when: {block: bottleneck}", "when: {cardinality: 1}", 9, 42, "circle", "without when", ""),
    "when on depth": ("[1, 3]", "[1, 3], when: {block: basic}", 6, 24, "no default", "without when", ""),
    "stages missing": ("  stages: 2\n", "", 4, 1, "stages is missing", "from 1 to 16", ""),
    "width missing": ("  width: {choice: [8, 16], each: stage, order: increasing}\n", "", 4, 1, "width", "8192", ""),
    "values for other stages": (
        "{int: [1, 3], each: stage}", "{each: stage, values: [1]}", 6, 32, "1 values", "2", "",
    ),
    "options for other stages": (
        "{int: [1, 3], each: stage}", "{each: stage, choices: [[1]]}", 6, 33, "1 lists", "2 lists", "",
    ),
    "option of a stage out of range": (
        "{int: [1, 3], each: stage}", "{each: stage, choices: [[1, 2], [1, 0]]}", 6, 46, "is 0", "from 1 to 1024", "",
    ),
    "options of a stage twice": (
        "{int: [1, 3], each: stage}", "{each: stage, choices: [[1], [2, 2]]}", 6, 33, "2 is there twice", "once", "",
    ),
    "same as a stage elsewhere": ("{int: [1, 3], each: stage}", "{same_as: stage1.width}", 6, 10, "stem.width", "", ""),
    "values without each": ("{int: [1, 3], each: stage}", "{values: [1, 2]}", 6, 3, "each is missing", "stage", ""),
    "space that is a list": (
        GOOD[GOOD.index("space") : GOOD.index("budget")], "space: [1]\n", 4, 8, "[1]", "mapping", "",
    ),
    "budget without suffix known": ("10M", "10m", 11, 23, "'10m'", "40M", "did you mean 10M?"),
    "budget negative": ("10M", "-1", 11, 23, "-1", "40M", ""),
    "budget empty": ("{max: 10M}", "{}", 11, 17, "with no limit", "max: 40M", ""),
    "budget reversed": ("max: 10M", "max: 10M, min: 20M", 11, 17, "20M is above", "lowest <= highest", ""),
    "budget both ways": ("max: 10M", "max: 10M, between: [1, 2]", 11, 17, "between together", "min and max", ""),
    "budget of an unknown count": ("flops:", "flop:", 11, 10, "'flop'", "flops, params", "did you mean flops?"),
    "budget out of reach": ("10M", "1k", 11, 23, "the smallest that this space can reach", "or more", "raise"),
    "budget above reach": ("max: 10M", "min: 10G", 11, 23, "the largest that this space", "or less", "lower the"),
    "newer version": ("archsearch: 1", "archsearch: 2", 1, 13, "version 2", "archsearch: 1", "update"),
    "version as text": ("archsearch: 1", "archsearch: '1'", 1, 13, "version '1'", "archsearch: 1", ""),
    "version missing": ("archsearch: 1\n", "", 1, 1, "archsearch is missing", "1", ""),
    "bad name": ("name: test", "name: ../up", 2, 7, "'../up'", "A-Za-z0-9_-", ""),
    "trials as a word": ("trials: 8", "trials: many", 12, 18, "'many'", "an integer from 1 to", ""),
    "share above one": ("digits}", "digits, validation: 1.5}", 3, 34, "1.5", "a share below 1", ""),
    "missing folder": ("name: digits}", "name: folder, root: nowhere}", 3, 28, "no such folder", "sub-folder", ""),
    "alias": ("stages: 2", "stages: &s 2", 5, 11, "anchor", "no anchors", ""),
    "alias bomb": ("name: test", "name: *x", 2, 7, "alias", "no aliases", ""),
    "duplicate key": ("\nsearch:", "\nname: again\nsearch:", 12, 1, "a second time", "each key once", "line 2"),
    "tab": ("  stages", "\tstages", 5, 1, "YAML", "YAML", "spaces"),
    "deep nesting": ("stages: 2", "stages: " + "[" * 10_000, 5, 31, "nesting", "20 levels", ""),
    "not a number": ("[1, 3]", "[1, .nan]", 6, 20, ".nan", "finite", ""),
    "python tag": ("stages: 2", "stages: !!python/object:os.x 2", 5, 11, "tag", "no tags", ""),
    "no": ("{trials: 8}", "no", 12, 9, "'no'", "a mapping with the keys objectives", ""),
    "nothing at all": (GOOD, "", 0, 0, "an empty file", "archsearch, name, data, space", ""),
    "only a comment": (GOOD, "# hello\n", 0, 0, "an empty file", "archsearch, name, data, space", ""),
    "list at the top": (GOOD, "- archsearch: 1\n", 1, 1, "[{archsearch: 1}]", "archsearch, name, data, space", ""),
    "text at the top": (GOOD, "hello", 1, 1, "'hello'", "archsearch, name, data, space", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_at_its_place(tmp_path: Path, name: str) -> None:
    old, new, line, column, found, allowed, hint = BROKEN[name]
    assert old in GOOD
    (problem, *_) = problems(tmp_path, GOOD.replace(old, new, 1))
    assert (problem.line, problem.column) == (line, column), str(problem)
    assert found in problem.message
    assert allowed in problem.allowed
    assert hint in problem.hint


def test_the_good_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(GOOD)
    assert load_space(path).name == "test"


def test_problems_of_all_parts_come_together_in_the_order_of_lines(tmp_path: Path) -> None:
    text = GOOD.replace("name: test", "name: a b").replace("[8, 16]", "[8, 0]").replace("trials: 8", "trials: 0")
    assert [problem.line for problem in problems(tmp_path, text)] == [2, 7, 12]


def test_a_budget_out_of_reach_names_the_exact_smallest_of_a_small_space(tmp_path: Path) -> None:
    text = GOOD.replace("10M", "1k").replace("{int: [1, 3], each: stage}", "1")
    (problem,) = problems(tmp_path, text)
    assert "about" not in problem.message
    reachable = problem.allowed.removesuffix(" or more")
    (tmp_path / "space.yaml").write_text(text.replace("1k", reachable))
    assert load_space(tmp_path / "space.yaml").budget.flops
    less = problems(tmp_path, text.replace("1k", str(int(reachable) - 1)))
    assert "smallest" in less[0].message


def test_bounds_that_nothing_keeps_together_are_refused(tmp_path: Path) -> None:
    text = GOOD.replace("{int: [1, 3], each: stage}", "1").replace(
        "{choice: [8, 16], each: stage, order: increasing}", "8"
    )
    text = text.replace("{flops: {max: 10M}}", "{flops: {max: 74k}, params: {min: 1550}}")
    (problem,) = problems(tmp_path, text)
    assert problem.line == 11
    assert "all limits of the budget" in problem.message


def test_mutated_files_load_or_are_refused_and_nothing_else(tmp_path: Path) -> None:
    draw = random.Random(1)
    tokens = re.findall(r"\w+|[^\w\s]|\s+", GOOD)
    spare = ["0", "-1", "1.5", "null", "true", "[]", "{}", "[1]", "'x'", "1e9", "each", "when", "stages", "int", "~"]
    path = tmp_path / "space.yaml"
    refused = 0
    for _ in range(120):
        mutated = list(tokens)
        for _ in range(draw.choice([1, 1, 2, 4])):
            at = draw.randrange(len(mutated))
            mutated[at : at + draw.choice([0, 1, 1, 3])] = [draw.choice([*spare, *tokens])]
        path.write_text("".join(mutated))
        try:
            load_space(path)
        except InputError as error:
            refused += 1
            assert all(problem.file for problem in error.problems)
    assert refused > 60


LISTS = [
    "[8, 16]",
    "[8]",
    "[8, 16, 32]",
    "[8, x]",
    "[0, 8]",
    "[{choice: [8, 16]}, {choice: [32]}]",
    "[[8], [16]]",
    "[]",
]


@pytest.mark.parametrize("stages", ["2", "{int: [1, 2]}", "x"])
@pytest.mark.parametrize("options", LISTS)
def test_what_a_hint_for_a_list_offers_is_accepted(options: str, stages: str, tmp_path: Path) -> None:
    def file(width: str, stages: str = stages) -> str:
        return f"archsearch: 1\nname: a\nspace: {{depth: 1, width: {width}, stages: {stages}}}\n"

    problem = problems(tmp_path, file(options))[0]
    assert "width is a list" in problem.message
    offers = re.findall(r"(\{[^{}]*\}) to ", problem.hint)
    assert ("write" in problem.hint) == bool(offers)
    for offer in offers:
        (tmp_path / "offer.yaml").write_text(file(offer, "2" if stages == "x" else stages))
        if stages != "x" or options == "[8, 16]":
            load_space(tmp_path / "offer.yaml")
    if options == "[8, 16]":
        assert len(offers) == 2
    elif "choice" in options:
        assert "domains do not nest" in problem.hint
