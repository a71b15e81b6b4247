"""Fault 13: search-space files that somebody broke, or made to break us: refused in a second, and nothing runs."""

import random
import sys
import time
from pathlib import Path

import pytest

from archsearch.cli import main
from archsearch.reading.errors import InputError
from archsearch.space.loading import load_space

SPACES = Path(__file__).parents[2] / "search_spaces"
RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pty.spawn")
PIECES = [
    "&a ", "*a", "<<: *a", "!!python/name:os.system ", "!!python/object/apply:os.system [touch trap]", "!!binary x",
    "!!python/object/new:os.system [touch trap]", "\t", "{", "[", "]", "}", ": ", "- ", "'", '"', "\0", "%", "---\n",
    "? ", "| ", "> ", "1e999", ".nan", ".inf", "-0", "0x1F", "1_000", "~", "null", "true", "[]", "{}", "\ufeff",
    "\u202e", "__import__('os').system('touch trap')", "${PATH}", "{{ 7*7 }}", "../../x", "9" * 400, "x" * 3000,
]  # fmt: skip


def mutations(number: int, seed: int) -> list[str]:
    """Texts made from the search spaces that come with archsearch, each hurt at one to four places."""
    texts, draw, made = [path.read_text() for path in sorted(SPACES.glob("*.yaml"))], random.Random(seed), []
    for _ in range(number):
        text = draw.choice(texts)
        for _ in range(draw.choice([1, 1, 2, 4])):
            at, to = sorted(draw.randrange(len(text) + 1) for _ in range(2))
            to = draw.choice([at, at + 1, min(to, at + 60), to])
            text = text[:at] + draw.choice([*PIECES, text[at : at + 40]]) * draw.choice([1, 1, 2, 30]) + text[to:]
        made.append(text)
    return made


def bombs() -> dict[str, str]:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    return {
        "a billion laughs": laughs,
        "merged laughs": "a: &a {x: 1}\nb: &b {<<: *a, <<: *a}\nc: {<<: [*a, *b]}\n",
        "lists of depth 10,000": "[" * 10_000 + "]" * 10_000,
        "mappings of depth 10,000": "".join(" " * n + "a:\n" for n in range(400)) + "{a: " * 10_000,
        "an unclosed depth": "{a: [" * 10_000,
        "a python tag": "!!python/object/apply:os.system ['touch trap']",
        "a python name": "name: !!python/name:os.system",
        "a tag of one's own": "%TAG ! tag:yaml.org,2002:\n---\nname: !python/object/apply:os.system ['touch trap']",
        "a million keys": "".join(f"k{n}: 1\n" for n in range(100_000)),
        "a huge key": "x" * 300_000 + ": 1",
        "a huge number": "archsearch: " + "9" * 100_000,
        "anchors to itself": "a: &a [*a]",
        "two documents": "archsearch: 1\n---\narchsearch: 1\n",
        "a directive": "%YAML 9.9\n---\na: 1\n",
        "bytes": "\x00\x01\x02",
    }


def hurt(texts: list[str], place: Path) -> tuple[int, float]:
    """Loads each; how many were refused, and the CPU seconds of the slowest. Anything but a space or an InputError, and
    anything that runs, is an AssertionError."""
    ran: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in RUNS:
            ran.append(event)

    sys.addaudithook(hook)
    refused, slowest, file = 0, 0.0, place / "space.yaml"
    try:
        for text in texts:
            file.write_text(text, errors="surrogatepass")
            began = time.process_time()
            try:
                load_space(file)
            except InputError as error:
                refused += 1
                assert error.problems and len(str(error).splitlines()) <= 60
            slowest = max(slowest, time.process_time() - began)
    finally:
        watching = False
    assert ran == [], f"{ran} happened"
    assert not list(place.rglob("trap"))
    return refused, slowest


def test_broken_files_are_refused_and_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused, slowest = hurt(mutations(120, seed=7), tmp_path)
    assert refused > 60
    assert slowest < 10, "of CPU time, on any machine; benchmarks/results/faults.md has the figure"


@pytest.mark.parametrize("name", sorted(bombs()))
def test_a_bomb_is_refused_as_bad_input(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    refused, slowest = hurt([bombs()[name]], tmp_path)
    assert refused == 1 and slowest < 10
    code = main(["check", str(tmp_path / "space.yaml")])
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert "Traceback" not in said.err and len(said.err.splitlines()) <= 10
