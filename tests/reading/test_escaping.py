"""No control character of a name or a text reaches the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from archsearch.cli import main
from archsearch.reading.errors import refuse
from archsearch.reading.escaping import Escaping, escaped_output, in_one_line, printable

HOSTILE = "\x1b[2Ja\x07b\x9bc\u202ed\u2066e\rf\u2028g\udcffh\x7fi\x00"


def is_safe(text: str) -> bool:
    return printable(text) == text


def test_what_is_escaped_and_what_stays() -> None:
    escaped = r"\u001b[2Ja\u0007b\u009bc\u202ed\u2066e\u000df\u2028g\udcffh\u007fi\u0000"
    assert printable(HOSTILE) == escaped
    assert json.loads(f'"{escaped}"') == HOSTILE, "as JSON writes it"
    assert printable("ä\t数\n🙂") == "ä\t数\n🙂"
    assert in_one_line("a\nb") == r"a\nb"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_reach_a_terminal_and_nothing_else_does() -> None:
    plain = r"\u001b[1mx\u001b[0m\u001b[2J"
    for stream, expected in ((Terminal(), "\x1b[1mx\x1b[0m\\u001b[2J"), (io.StringIO(), plain)):
        print("\x1b[1mx\x1b[0m\x1b[2J", end="", file=Escaping(stream))
        assert stream.getvalue() == expected


def test_all_that_a_verb_prints_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with escaped_output():
        print(HOSTILE)
        print(refuse(f"{HOSTILE}\nx", file=f"{HOSTILE}\ny"))
    printed = capsys.readouterr().out
    assert is_safe(printed) and len(printed.splitlines()) == 2


@pytest.mark.parametrize("verb", ["check", "profile", "status", "export"])
def test_an_argument_with_control_characters(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = HOSTILE.replace("\x00", "") + "\nz.yaml"
    assert main([verb, name]) == 2
    printed = capsys.readouterr()
    assert is_safe(printed.out) and is_safe(printed.err)
    assert "\nz.yaml" not in printed.err


def test_classes_and_images_with_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "images"
    for name in ("cat\x1b[31m\n\u202e", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8)).save(root / name / f"{number}\x07\n.png")
    (root / "dog" / "broken\x9b\n.png").write_bytes(b"no image")
    words = ["--data", "folder", "--root", str(root), "--epochs", "1", "--output", str(tmp_path / "o\x1b")]
    assert main(["train", "resnet20_cifar", *words]) == 2
    printed = capsys.readouterr()
    assert is_safe(printed.out) and is_safe(printed.err)


def test_a_key_of_a_file_with_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "space.yaml").write_text('archsearch: 1\n"na\\e[2J\\u202eme\\nx": 1\n')
    assert main(["check", str(tmp_path / "space.yaml")]) == 2
    printed = capsys.readouterr()
    assert (is_safe(printed.err) and "u001b" in printed.err) or "x1b" in printed.err
