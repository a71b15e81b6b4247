"""One hint for a mistyped name, wherever a name is taken."""

import subprocess
import sys

import pytest

import archsearch
from archsearch.cli import main
from archsearch.reading.errors import InputError
from archsearch.reading.nearest import did_you_mean
from archsearch.search.proposing.samplers.registry import sampler_of


def test_case_dashes_and_other_types() -> None:
    assert did_you_mean("Batch-Size", ["batch_size", "epochs"]) == "did you mean batch_size?"
    assert did_you_mean("zzzz", ["batch_size"]) == did_you_mean(7, ["7"]) == ""
    assert did_you_mean("serch", ["status"], aliases={"search": "run"}) == "did you mean run?"
    assert did_you_mean("resnt", ["resnet1", "resnet2", "vgg"], most=2) == "did you mean resnet2 or resnet1?"
    assert did_you_mean("x" * 10**6, ["x" * 90]) != ""  # a text of any length takes no time


CHECK = ["check", "search_spaces/digits.yaml", "--no-probe"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["serch"], "archsearch run"),
        (["profile", "resnt20"], "resnet20_cifar"),
        (["check", "digit"], "digits"),
        (["status", "--watc"], "--watch"),
        (["train", "resnet20_cifar", "--data", "digits", "--freeze", "trunc"], "trunk"),
        (["train", "resnet20_cifar", "--data", "cifar1"], "cifar10"),
        (["export", "resnet20_cifar", "--format", "onx"], "onnx"),
        ([*CHECK, "--set", "traning.epochs=3"], "training"),
        ([*CHECK, "--set", "search.sampler=bays"], "bayes"),
        ([*CHECK, "--set", "space.blok=basic"], "block"),
        (["check", "search_spaces/digit.yml"], "digits.yaml"),
        ([*CHECK, "--cluster", "8xH10"], "H100"),
    ],
    ids=str,
)
def test_the_command_line_proposes_the_nearest(words: list[str], hint: str, capsys) -> None:
    assert main(words) == 2
    assert f"did you mean {hint}" in capsys.readouterr().err


def test_python_proposes_the_nearest() -> None:
    for call in (
        lambda: archsearch.search("digits", data="digts"),
        lambda: archsearch.load_space("digits", {"serch.trials": 3}),
        lambda: archsearch.load_space("digit"),
        lambda: sampler_of("bays", objectives=1),
        lambda: sampler_of({"optuna": "optuna.samplers:TPESample"}, objectives=1),
    ):
        with pytest.raises(InputError, match="did you mean"):
            call()
    code = "import archsearch; archsearch.load_spaces"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Did you mean: 'load_space'?" in done.stderr
