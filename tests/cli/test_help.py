"""What the command line says of itself, and what that may cost."""

import os
import subprocess
import sys

import pytest

from archsearch.cli import main
from archsearch.cli.dispatch import command_of
from archsearch.cli.table import VERBS

HEAVY = ("torch", "ray", "optuna", "mlflow", "pydantic", "typer", "rich", "yaml", "numpy")
WORDS = [verb.name for verb in VERBS]

SURFACE = {
    "init": {"IMAGES", "--set", "--time", "--flops", "--params", "-o", "--output", "--json"},
    "check": {
        "SPACE", "--time", "--flops", "--params", "--set", "--samples", "--no-probe", "--cluster", "--allow-source",
        "--json",
    },
    "sample": {"SPACE", "-n", "--number", "--seed", "--set", "--json"},
    "run": {
        "SPACE", "--time", "--flops", "--params", "--trials", "--seed", "--name", "--output", "--new", "--warm-start",
        "--learn-from", "--set", "--allow-sampler", "--allow-source", "--address", "--runtime-env", "--tracking-uri",
        "--dry-run", "--json",
    },
    "resume": {
        "EXPERIMENT", "--trials", "--force", "--root", "--allow-sampler", "--allow-source", "--address",
        "--runtime-env", "--tracking-uri", "--json",
    },
    "status": {"[EXPERIMENT]", "--watch", "--json"},
    "confirm": {
        "EXPERIMENT", "--top", "--seeds", "--folds", "--baseline", "--pretrained", "--no-random", "--compile", "--root",
        "--allow-source", "--tracking-uri", "--json",
    },
    "report": {"EXPERIMENT", "-o", "--output", "--no-images", "--allow-source", "--json"},
    "compare": {"A", "B", "--trials", "--epochs", "--seed", "--allow-source", "-o", "--output", "--json"},
    "ui": {"[EXPERIMENT]", "--optuna", "--port", "--host", "--tracking-uri"},
    "sync": {"EXPERIMENT", "--tracking-uri", "--json"},
    "zoo": {"[TEXT]", "--flops", "--params", "--json"},
    "profile": {
        "ARCH", "--input", "--counter", "--depth", "--draw", "--batch", "--latency", "--latency-batch", "--json",
    },
    "train": {
        "ARCH", "--data", "--root", "--epochs", "--batch-size", "--learning-rate", "--seed", "--set",
        "--output", "--json", "--weights", "--freeze", "--compile", "--allow-source"},
    "export": {
        "EXPERIMENT|ARCH", "--trial", "--format", "-o", "--output", "--weights", "--seed", "--root", "--allow-source",
        "--int8", "--max-loss", "--json"},
    "predict": {
        "BUNDLE|EXPERIMENT", "IMAGE|FOLDER|TABLE...", "--top", "--device", "--backend", "--root", "--allow-source",
        "--csv", "-o", "--output", "--json",
    },
    "analyze": {
        "KIND", "[ARCH|EXPERIMENT]", "--weights", "--data", "--root", "--split", "--images", "--draws", "--seed",
        "--max-loss", "--points", "--survival", "--beside", "--depths", "--rows", "--seeds", "--epochs", "--set",
        "--allow-source", "-o", "--output", "--tracking-uri", "--json",
    },
    "shrink": {
        "ARCH", "--weights", "--data", "--root", "--flops", "--params", "--time", "--epochs", "--candidates",
        "--finalists", "--images", "--seed", "--set", "--allow-source", "--output", "--json",
    },
    "doctor": {"--json"},
    "schema": {"-o", "--output"},
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    listed = f"import sys\n{code}\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["--version"], ["nonsense"]])
def test_help_and_version_load_the_standard_library_alone(words: list[str]) -> None:
    loaded = loaded_by(f"import contextlib, io\nfrom archsearch.cli import main\n"
                       f"with contextlib.redirect_stderr(io.StringIO()): main({words})")  # fmt: skip
    assert loaded.isdisjoint(HEAVY)


def test_the_verbs_modules_load_nothing_heavy() -> None:
    loaded = loaded_by("\n".join(f"import archsearch.cli.verbs.{word}" for word in WORDS))
    assert loaded.isdisjoint({"torch", "ray", "optuna", "mlflow", "pydantic", "rich", "numpy"})


def test_import_archsearch_loads_nothing_heavy() -> None:
    assert loaded_by("import archsearch").isdisjoint(HEAVY)


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "archsearch"], capture_output=True, text=True, check=True)
    for word in WORDS:
        assert f"  {word} " in done.stdout
    assert done.stderr == ""
    assert "\033" not in done.stdout


@pytest.mark.parametrize("verb", VERBS, ids=WORDS)
def test_every_verbs_help_shows_its_example(verb, capsys) -> None:
    assert main([verb.name, "--help"]) == 0
    assert verb.example in capsys.readouterr().out


def test_the_surface_is_frozen() -> None:
    found = {}
    for verb in VERBS:
        command = command_of(verb)
        options = {
            text for p in command.params if p.param_type_name == "option" for text in (*p.opts, *p.secondary_opts)
        }
        arguments = {p.metavar for p in command.params if p.param_type_name == "argument"}
        found[verb.name] = options | arguments
    assert found == SURFACE


def test_an_unknown_verb_is_bad_input_with_the_nearest_word(capsys) -> None:
    assert main(["profil"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "did you mean archsearch profile?" in said.err
    assert main(["serch", "digits"]) == 2
    assert "did you mean archsearch run?" in capsys.readouterr().err


def test_an_unknown_option_is_bad_input_with_an_example(capsys) -> None:
    assert main(["zoo", "--jsn"]) == 2
    said = capsys.readouterr().err
    assert "archsearch zoo: no option --jsn" in said and "did you mean --json?" in said
    assert main(["zoo", "--quux"]) == 2
    assert "for example: archsearch zoo" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error() -> None:
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = f"{sys.executable} -m archsearch zoo | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("name")
