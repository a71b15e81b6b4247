"""Commands that messages suggest: each is one that the command line takes, for this experiment and with its options."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import archsearch
from archsearch.analysis.report import next_steps
from archsearch.analysis.report.document import commands, document
from archsearch.analysis.report.reading import read_experiment
from archsearch.cli import driving, main
from archsearch.cli.dispatch import command_of as typer_command
from archsearch.cli.table import find as find_verb
from archsearch.experiment import ExperimentFolder, Ledger, suggested
from archsearch.experiment.winner import winner_of
from archsearch.search.session import Session, _end
from archsearch.tracking.files import description_of
from tests.search.local import finished, tiny

PACKAGE = Path(archsearch.__file__).parent
QUOTED = re.compile(r"`(archsearch [a-z][^`]*)`")
ON_A_LINE = re.compile(r"(?:^|\n) *(archsearch [a-z]+ [^\n`]*)")
SUGGESTS = re.compile(r"(?<!from )archsearch [a-z]|\bcommand(_of)?\(")
TYPER = {}
OF_VALUES = (("--trials x", "--trials 1"), ("--trials N", "--trials 1"), ("analyze x", "analyze lesion"))


def parsed(text: str) -> dict:
    """The parameters that the command line reads from a command; nothing is run."""
    for shown, value in OF_VALUES:
        text = text.replace(shown, value)
    program, name, *arguments = shlex.split(re.split(r" {3}", text)[0])
    arguments += ["new"] if name == "predict" and len(arguments) == 1 else []
    verb = find_verb(name)
    assert program == "archsearch" and verb is not None, text
    if not arguments:
        return {}
    if name not in TYPER:
        TYPER[name] = typer_command(verb)
    with TYPER[name].make_context(f"archsearch {name}", arguments) as context:
        return dict(context.params)


def literal(node: ast.expr) -> str:
    """A text of the program with x where a value stands."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=values):
            return "".join(map(literal, values))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return literal(left) + literal(right)
        case ast.Constant(value=int() as number):
            return str(number)
        case _:
            return "x"


def suggestions() -> Iterator[tuple[str, str]]:
    """(where, command) of all that the program's texts suggest, and of all that it makes by `suggested`."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if not SUGGESTS.search(file.read_text()):
            continue
        tree = ast.parse(file.read_text())
        documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inner = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            where = f"{file.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            match node:
                case ast.JoinedStr() | ast.Constant(value=str()) if node not in inner and node not in documentation:
                    lines = (line for line in ON_A_LINE.findall(literal(node)) if find_verb(line.split()[1]))
                    yield from ((where, text) for text in (*QUOTED.findall(literal(node)), *lines))
                case ast.Call(func=ast.Name(id="command" | "command_of" as maker), args=arguments):
                    folder, *remaining = arguments if maker == "command_of" else (None, *arguments)
                    plain = [argument for argument in remaining if not _of_variables(argument)]
                    if plain and len(plain) == len(remaining) and file.name != "suggested.py":
                        verb, *options = [literal(part) for part in plain if not isinstance(part, ast.Starred)]
                        yield where, " ".join(["archsearch", verb, *(["x"] if folder is not None else []), *options])


def _of_variables(argument: ast.expr) -> bool:
    """Whether it stands for several arguments that are known when the program runs; permissions may be none."""
    return isinstance(argument, ast.Starred) and not isinstance(argument.value, ast.Call)


def test_every_suggested_command_is_one_that_the_command_line_takes() -> None:
    everything = [(where, text) for where, text in suggestions() if text != "archsearch"]
    assert len(everything) > 60
    wrong = []
    for where, text in everything:
        try:
            parsed(text)
        except Exception as error:
            wrong.append(f"{where}: {text!r}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    """A finished search in a folder with a space in its name, whose file names code of a person's own."""
    folder = finished(tmp_path_factory.mktemp("été à la plage"), "search.trials=1", "training.epochs=1")
    text = folder.space_yaml.read_text()
    assert "sampler: " in text and "  metrics: {}\n" in text
    text = text.replace("  metrics: {}\n", "  metrics: {half: 'measures:half'}\n")
    text = re.sub(r"sampler: .*", "sampler: {optuna: 'mine:Sampler'}", text)
    folder.space_yaml.write_text(text)
    return folder


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggested, "ALLOWED_SOURCES", {"measures:half", "other:Class"})
    monkeypatch.setattr(suggested, "ALLOWED_SAMPLERS", {"mine:Sampler"})


@pytest.fixture
def none_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tests before allowed in this process, as `archsearch.search` does for good."""
    monkeypatch.setattr(suggested, "ALLOWED_SOURCES", set())
    monkeypatch.setattr(suggested, "ALLOWED_SAMPLERS", set())


def shown(capsys, *arguments: str) -> list[str]:
    capsys.readouterr()
    assert main([*arguments]) == 0
    _, _, text = capsys.readouterr().out.partition("next:\n")
    return [line.strip() for line in text.splitlines() if line.startswith("  archsearch ")]


def test_what_was_allowed_is_repeated_where_it_is_imported(experiment, allowed, capsys) -> None:
    lines = {line.split()[1]: parsed(line) for line in shown(capsys, "status", str(experiment.path))}
    assert lines.keys() == {"train", "profile", "export", "confirm", "status", "ui"}
    assert lines["confirm"]["experiment"] == lines["ui"]["experiment"] == str(experiment.path)
    assert lines["confirm"]["allow_source"] == ["measures:half"]
    assert not lines["train"]["allow_source"] and not lines["export"]["allow_source"], "they measure nothing of it"
    session = Session(
        folder=experiment, address="auto", runtime_env=True, root=Path("my images"), tracking_uri="http://a:b@c"
    )
    resume = parsed(suggested.command_of(experiment, "resume", *driving.circumstances(session)))
    assert (resume["allow_source"], resume["allow_sampler"]) == (["measures:half"], ["mine:Sampler"])
    assert (resume["address"], resume["runtime_env"], resume["root"]) == ("auto", True, Path("my images"))
    assert "b@" not in resume["tracking_uri"], "a password is not printed"


def test_nothing_that_a_file_names_becomes_a_permission(experiment, none_allowed, capsys) -> None:
    assert not any("--allow" in line for line in shown(capsys, "status", str(experiment.path)))
    assert suggested.permissions(experiment, "resume") == []


def test_a_source_of_ones_own_is_named_to_all_that_read_images(experiment, allowed, tmp_path) -> None:
    copy = ExperimentFolder(tmp_path)
    text = experiment.space_yaml.read_text().replace("  name: digits\n", "  name: other:Class\n")
    copy.space_yaml.write_text(text)
    assert suggested.permissions(copy, "export") == ["--allow-source", "other:Class"]
    assert suggested.permissions(copy, "confirm") == [
        "--allow-source",
        "other:Class",
        "--allow-source",
        "measures:half",
    ]
    assert suggested.permissions(copy, "ui") == []
    copy.space_yaml.write_text("- no mapping\n")
    assert suggested.permissions(copy, "export") == []


def test_the_commands_of_the_report_and_of_mlflow_are_parsed(experiment, allowed) -> None:
    reading = read_experiment(experiment)
    report = document(reading)
    assert {line.split()[1] for line in commands(reading)} == {"confirm", "profile", "export", "ui"}
    for line in commands(reading):
        parsed(line)
    page = next_steps.reproduce(reading, report)
    (again,) = re.findall(r"archsearch run [^<]*", page)
    again = parsed(again.replace("&#x27;", "'").replace("&#39;", "'"))
    assert (again["output"], again["name"]) == (Path(f"{experiment.path}-2"), None), "no --name has a space"
    assert again["allow_source"] == ["measures:half"] and again["allow_sampler"] == ["mine:Sampler"]
    with Ledger.read(experiment.ledger) as ledger:
        text = description_of(experiment, ledger, winner_of(experiment, ledger))
    listed = [parsed(line) for line in re.findall(r"`(archsearch [^`]*)`", text)]
    assert [each["experiment" if "experiment" in each else "source"] for each in listed] == [str(experiment.path)] * 3


def test_an_experiment_is_called_by_what_finds_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("experiments/one", "one", "two"):
        Path(path).mkdir(parents=True)
        ExperimentFolder(Path(path)).ledger.touch()
    assert ExperimentFolder(Path("experiments/one")).argument == "one"
    assert ExperimentFolder(tmp_path / "experiments" / "one").argument == "one"
    assert ExperimentFolder(Path("one")).argument == str(tmp_path / "one"), "the other one is found first"
    assert ExperimentFolder(Path("two")).argument == str(tmp_path / "two")


def test_a_search_whose_time_was_over_first_is_not_resumed(tmp_path: Path, capsys) -> None:
    _, folder = tiny(tmp_path, "search.wall_time=60s")
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin()
        _end(ledger, "")
    capsys.readouterr()
    assert main(["status", str(folder.path)]) == 0
    text = capsys.readouterr().out
    assert "no trial began: the time (search.wall_time) was over before" in text and "archsearch resume" not in text
    assert not any("resume" in line for line in commands(read_experiment(folder)))
    with Ledger.open(folder.ledger) as ledger:
        ledger.begin()
        _end(ledger, "the first 5 trials failed")
    assert any("resume" in line for line in shown(capsys, "status", str(folder.path)))
