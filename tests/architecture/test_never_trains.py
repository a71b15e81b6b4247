"""Blocks whose branch no step would change: refused where they are written, left out where a space draws them."""

import json

import pytest

import archsearch
from archsearch.architecture.block import Block
from archsearch.architecture.cost import cost
from archsearch.architecture.ops import Relu
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture, Stage
from archsearch.reading.errors import InputError
from archsearch.space.choices import RandomChoices
from archsearch.space.loading import load_space

DEAD = [
    ({"learned_gain": True, "zero_init": True}, "two factors that start at 0"),
    ({"learned_gain": True, "zero_init": True, "link": "highway", "activation": "relu_only_pre"}, "two factors"),
    ({"learned_gain": True, "link": "dense", "activation": "pre"}, "stays 0 behind pre's ReLU"),
    ({"learned_gain": True, "link": "dense", "activation": "relu_only_pre"}, "stays 0 behind relu_only_pre's ReLU"),
    ({"branch_scale": 0.0}, "takes the branch away"),
    ({"branch_scale": 0.0, "link": "dense"}, "takes the branch away"),
    ({"zero_init": True, "shortcut_scale": -0.5}, "leave nothing"),
    ({"learned_gain": True, "shortcut": "A", "shortcut_scale": 0.0}, "leave nothing"),
    ({"shortcut_scale": 0.0}, "weights of the shortcut without effect"),
    ({"shortcut_scale": 0.0, "shortcut": "A", "gate": "shortcut"}, "weights of the shortcut without effect"),
    ({"shortcut_scale": 0.0, "shortcut": "A", "link": "dense"}, "weights of the shortcut without effect"),
]
ALIVE = [
    {"zero_init": True, "learned_gain": True, "norm": "none"},
    {"zero_init": True, "learned_gain": True, "activation": "pre"},
    {"zero_init": True, "learned_gain": True, "link": "plain"},
    {"learned_gain": True, "link": "dense"},
    {"learned_gain": True, "link": "dual_path", "activation": "pre"},
    {"shortcut_scale": 0.0, "shortcut": "A"},
    {"shortcut_scale": 0.0, "shortcut": "none"},
    {"shortcut_scale": -0.5},
    {"branch_scale": 0.0, "link": "plain"},
]


@pytest.mark.parametrize(("words", "problem"), DEAD)
def test_a_network_that_is_written_with_them_is_refused_at_its_line(words: dict, problem: str, tmp_path) -> None:
    lines = "\n".join(f"      {key}: {json.dumps(value)}" for key, value in words.items())
    file = tmp_path / "network.yaml"
    file.write_text(f"archsearch: 1\nstages:\n  - depth: 2\n    block:\n{lines}\n")
    with pytest.raises(InputError, match=problem) as error:
        Architecture.from_yaml(file)
    assert (error.value.problems[0].line, bool(error.value.problems[0].allowed)) == (5, True)
    with pytest.raises(InputError, match=problem):
        cost(Architecture(stages=(Stage(depth=2, block=Block(**words)),)))


@pytest.mark.parametrize("following", ["pre", "relu_only_pre"])
@pytest.mark.parametrize("link", ["residual", "dense"])
def test_a_dense_stage_of_zeros_before_a_relu_is_refused(following: str, link: str) -> None:
    stages = [Stage(depth=2, block=Block(link="dense", learned_gain=True)), Stage(depth=2)]
    assert cost(Architecture(stages=tuple(stages))).params > 0
    stages[1] = Stage(depth=2, block=Block(link=link, activation=following))
    with pytest.raises(InputError, match=f"stays 0 behind {following}'s ReLU"):
        cost(Architecture(stages=tuple(stages)))


@pytest.mark.parametrize("words", ALIVE)
def test_their_neighbours_are_networks(words: dict) -> None:
    architecture = Architecture(stages=(Stage(depth=2, block=Block(**words)),))
    assert Architecture.from_dict(architecture.to_dict()) == architecture
    assert cost(architecture).params > 0


SPACE = """\
archsearch: 1
name: dead
data: {name: digits}
space:
  stages: 1
  depth: {int: [1, 2]}
  width: 8
  learned_gain: %s
  zero_init: true
  activation: {choice: [post, pre]}
"""


def test_a_space_never_draws_them_and_one_of_nothing_else_is_refused(tmp_path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE % "{choice: [true, false]}")
    space = load_space(file)
    drawn = {space.architecture(RandomChoices(seed)).stages[0].block.never_trains() is None for seed in range(40)}
    assert drawn == {True, False}, "choices alone may go together in any way"
    networks = archsearch.load_space(file).sample(100)
    blocks = [network.stages[0].block for network in networks]
    assert len(blocks) == 6 and all(block.never_trains() is None for block in blocks)  # 8 without the two dead ones
    file.write_text(SPACE.replace("{choice: [post, pre]}", "post") % "true")
    with pytest.raises(InputError, match=r"space.yaml:5:3: no network of the space would train: learned"):
        load_space(file)


def test_relu_only_pre_activation_ends_in_the_extra_activation() -> None:
    """He 2016, appendix: an activation behind the last addition, as the first block's stands before it."""
    block = Block(activation="relu_only_pre")
    stages = dict(plan(Architecture(stages=(Stage(depth=1, block=block), Stage(depth=1, width=32, block=block)))).steps)
    assert [name for name, _ in stages["stage1"].steps] == ["block1"]
    assert stages["stage2"].steps[-1][0] == "exit" and stages["stage2"].steps[-1][1].steps == (("relu1", Relu()),)
    mixed = Architecture(stages=(Stage(depth=1, block=block), Stage(depth=1, width=32)))
    assert [name for name, _ in dict(plan(mixed).steps)["stage1"].steps] == ["block1", "exit"]
