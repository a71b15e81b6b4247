"""The Dockerfile, read against the wheel: docker itself runs nowhere here."""

import fnmatch
import os
import re
import shlex
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
Instruction = tuple[str, str]


def instructions(text: str) -> list[Instruction]:
    """(word, the rest of it), with lines joined that end in a backslash, and without comments."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line.strip()]


DOCKERFILE = instructions((ROOT / "Dockerfile").read_text())
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def copied() -> list[str]:
    """What the image takes from the repository."""
    paths = [shlex.split(rest) for word, rest in DOCKERFILE if word == "COPY" and "--from=" not in rest]
    return [path for words in paths for path in words[:-1]]


@pytest.fixture(scope="module")
def wheel() -> zipfile.ZipFile:
    """The wheel that .ci/packaging has built; building one needs a package index."""
    if "ARCHSEARCH_WHEEL" not in os.environ:
        pytest.skip("no wheel is built here; .ci/packaging builds one and names it in ARCHSEARCH_WHEEL")
    return zipfile.ZipFile(os.environ["ARCHSEARCH_WHEEL"])


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets docker see the path: its last line that fits decides."""
    sent = True
    for line in IGNORED:
        if fnmatch.fnmatch(path, line.lstrip("!")):
            sent = line.startswith("!")
    return sent


def test_what_it_copies_is_there_and_sent_to_docker() -> None:
    assert copied()
    for path in copied():
        assert (ROOT / path).exists() and is_sent(path), path
    assert not is_sent("experiments") and not is_sent(".venv") and not is_sent("data")


def test_what_the_wheel_is_built_of_is_copied_before() -> None:
    metadata = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]}
    wheel_target = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert metadata | {*wheel_target["packages"], *wheel_target["force-include"]} <= {*copied()}


def test_the_entry_point_is_the_packages() -> None:
    (entry,) = (rest for word, rest in DOCKERFILE if word == "ENTRYPOINT")
    assert entry == '["archsearch"]'
    assert PROJECT["scripts"] == {"archsearch": "archsearch.__main__:command"}
    assert any(rest.startswith("PATH=/opt/archsearch/bin:") for word, rest in DOCKERFILE if word == "ENV")


def test_the_wheel_holds_the_command_and_the_search_spaces(wheel: zipfile.ZipFile) -> None:
    (file,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert re.search(r"^archsearch = archsearch\.__main__:command$", wheel.read(file).decode(), re.MULTILINE)
    for path in (ROOT / "search_spaces").glob("*.yaml"):
        assert wheel.read(f"archsearch/search_spaces/{path.name}") == path.read_bytes()


def test_pythons_version_is_one_that_the_wheel_takes() -> None:
    (base,) = (rest for word, rest in DOCKERFILE if word == "ARG" and rest.startswith("BASE="))
    version = re.fullmatch(r"BASE=python:3\.(\d+)-slim", base)
    assert version is not None
    assert PROJECT["requires-python"] == ">=3.11" and int(version[1]) >= 11
    assert f"Programming Language :: Python :: 3.{version[1]}" in PROJECT["classifiers"]
    assert [rest for word, rest in DOCKERFILE if word == "FROM"] == ["${BASE} AS wheel", "${BASE}"]


def test_what_it_installs_is_the_wheel_with_extras_that_it_has() -> None:
    (install,) = (rest for word, rest in DOCKERFILE if word == "RUN" and ".whl" in rest)
    (pattern,) = re.findall(r"/wheel/(archsearch-\S*\.whl)", install)
    assert fnmatch.fnmatch(f"{PROJECT['name']}-{PROJECT['version']}-py3-none-any.whl", pattern)
    (extras,) = (rest for word, rest in DOCKERFILE if word == "ARG" and rest.startswith("EXTRAS="))
    text = (ROOT / "Dockerfile").read_text()
    mentioned = {name for names in re.findall(r"EXTRAS=\[([\w,]+)\]", text) for name in names.split(",")}
    assert extras == "EXTRAS=[export]" and mentioned <= {*PROJECT["optional-dependencies"]}


def test_the_constraints_that_it_makes_are_pins_of_every_dependency() -> None:
    lines = [
        re.sub(r" *\\$", "", line)
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "--hash" not in line
    ]
    pinned = {re.match(r"([\w.-]+)==\S+( ; .*)?$", line)[1] for line in lines}  # type: ignore[index]
    assert {re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"]} <= pinned  # type: ignore[index]
