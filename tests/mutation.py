"""Changes operators of the package at random, one at a time, and prints the changes that no test of the room notices.

    .venv/bin/python -m tests.mutation --seed 1 --changes 40
    .venv/bin/python -m tests.mutation --seed 2 --changes 10 --room search/proposing --json > survivors.json

A change replaces one comparison or one arithmetic, bitwise or boolean operator, or takes away a `not`, a `-` or a `~`.
It is made in a copy of the checkout's files in a temporary folder, where the tests of that file's room run until the
first fails: the change is killed where one fails, or takes too long, and survives otherwise. Whether a survivor
changes nothing that matters (`x > 0` for `x >= 0` where x is never 0) or shows a gap in the tests is for a reader to
judge: nothing is filtered here. The same seed chooses the same changes of the same source.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
NETWORKS = "tests/network/test_counter_is_the_module.py tests/network/test_parity.py"
# Of each room; tests of other rooms that name the changed module run too. A file belongs to its longest beginning here.
TESTS = {
    "": "tests/test_house.py tests/cli/test_help.py tests/space/test_loading.py",
    "reading": "tests/reading tests/space/test_broken_files.py",
    "architecture": f"tests/architecture tests/zoo {NETWORKS}",
    "experiment": "tests/experiment",
    "zoo": f"tests/zoo {NETWORKS}",
    "space": "tests/space tests/search/test_trainings.py",
    "data": "tests/data",
    "study": "tests/study",
    "network": f"tests/network tests/training/test_pretrained.py tests/zoo {NETWORKS}",
    "training": "tests/training tests/search/test_deadline.py",
    "analysis": "tests/analysis tests/cli/test_report.py",
    "tracking": "tests/tracking",
    "export": "tests/export tests/cli/test_export.py",
    "search": "tests/search",
    "search/proposing": "tests/search/samplers tests/search/test_proposals.py tests/search/test_history_resume.py "
    "tests/search/test_trainings.py tests/search/test_search.py",
    "search/foretelling": "tests/search/test_forecast.py tests/search/test_cluster_forecast.py "
    "tests/cli/test_networks.py",
    "search/confirming": "tests/search/test_confirm.py tests/search/test_random_sample.py tests/cli/test_confirm.py",
    "api": "tests/cli/test_views.py tests/cli",
    "cli": "tests/cli/test_views.py tests/cli",
}
ROOMS = sorted({room.split("/")[0] for room in TESTS if room})  # not faults, cluster, browser, docs: minutes each
COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {  # what stands there, and what may stand there instead
    ast.Lt: ("<", "<= >="),
    ast.LtE: ("<=", "< >"),
    ast.Gt: (">", ">= <="),
    ast.GtE: (">=", "> <"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
}
WORDS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
SIGNS: dict[type[ast.unaryop], str] = {ast.Not: "not", ast.USub: "-", ast.Invert: "~"}
LIMIT = 300  # seconds of one test, after which pytest ends itself
Position = tuple[int, int]  # line from 1, column in characters from 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """One operator of a file of the package, and what it is replaced with; `after` is empty where it is taken away."""

    file: str
    line: int
    column: int
    before: str
    after: str
    code: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column + 1}: `{self.before}` -> `{self.after}`: {self.code}"

    def applied(self, source: str) -> str:
        """The file's text with this operator changed."""
        lines = source.splitlines(keepends=True)
        text = lines[self.line - 1]
        end = self.column + len(self.before)
        assert text[self.column : end] == self.before
        lines[self.line - 1] = text[: self.column] + self.after + text[end:]
        return "".join(lines)


def changes(source: str, file: str) -> Iterator[Change]:
    """Every change of every operator of a file, but for annotations, unions of types and f-strings."""
    lines = source.splitlines()
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))

    def position(line: int, column: int) -> Position:
        return line, len(lines[line - 1].encode()[:column].decode())  # the tree counts bytes, tokens characters

    def start(node: ast.expr) -> Position:
        return position(node.lineno, node.col_offset)

    def end(node: ast.expr) -> Position:
        return position(node.end_lineno or 0, node.end_col_offset or 0)

    def replaced(first: Position, last: Position, before: str, after: tuple[str, ...]) -> Iterator[Change]:
        """The operator `before`, of one or two tokens, between two positions."""
        head, *tail = before.split()
        for token, following in pairwise(tokens):
            if first <= token.start < last and token.string == head and (not tail or following.string == tail[0]):
                line, column = token.start
                finish = following.end if tail else token.end
                if finish[0] != line:
                    return  # `is` and `not` on two lines
                written = lines[line - 1][column : finish[1]]
                for text in after:
                    yield Change(file=file, line=line, column=column, before=written, after=text,
                                 code=lines[line - 1].strip())  # fmt: skip
                return

    for node in _evaluated(ast.parse(source)):
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for operator, left, right in zip(node.ops, operands, operands[1:], strict=False):
                    if type(operator) in COMPARISONS:
                        before, after = COMPARISONS[type(operator)]
                        yield from replaced(end(left), start(right), before, tuple(after.split()))
                    else:
                        before, after = WORDS[type(operator)]
                        yield from replaced(end(left), start(right), before, (after,))
            case ast.BinOp() if type(node.op) in ARITHMETIC and not _is_union(node):
                before, after = ARITHMETIC[type(node.op)]
                yield from replaced(end(node.left), start(node.right), before, (after,))
            case ast.AugAssign() if type(node.op) in ARITHMETIC:
                before, after = ARITHMETIC[type(node.op)]
                yield from replaced(end(node.target), start(node.value), f"{before}=", (f"{after}=",))
            case ast.BoolOp():
                before, after = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield from replaced(end(left), start(right), before, (after,))
            case ast.UnaryOp() if type(node.op) in SIGNS:
                yield from replaced(start(node), start(node.operand), SIGNS[type(node.op)], ("",))


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it that runs and whose position is exact (in an f-string it is not before Python 3.12)."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns") or isinstance(value, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield from _evaluated(child)


def _is_union(node: ast.BinOp) -> bool:
    """Whether `A | B` stands for a type, as far as names tell."""

    def is_type(operand: ast.expr) -> bool:
        name = ast.unparse(operand).split("[")[0].split(".")[-1]
        return bool(
            re.fullmatch("[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*|None|int|float|str|bool|bytes|dict|list|tuple", name)
        )

    return isinstance(node.op, ast.BitOr) and (is_type(node.left) or is_type(node.right))


def room_of(file: str) -> str:
    """The name in TESTS that a file of the package belongs to."""
    inside = file.removeprefix("archsearch/")
    return max((room for room in TESTS if not room or inside.startswith((f"{room}/", f"{room}."))), key=len)


def chosen(seed: int, count: int, room: str) -> list[Change]:
    """So many changes in the files whose path begins with `room`, every operator's as likely as any other."""
    files = sorted((CHECKOUT / "archsearch").rglob("*.py"))
    names = {file.relative_to(CHECKOUT).as_posix(): file for file in files}
    every = [
        change
        for name, file in names.items()
        if f"{name.removeprefix('archsearch/')}/".startswith(room) or name.removesuffix(".py").endswith(f"/{room}")
        for change in changes(file.read_text(), name)
    ]
    picked = random.Random(seed).sample(every, min(count, len(every)))
    return sorted(picked, key=lambda change: (room_of(change.file), change.file, change.line, change.column))


def copied(folder: Path) -> None:
    """The checkout's files, as they lie there, in another folder; what git ignores is left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listing.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)


def tests_of(folder: Path, file: str) -> list[str]:
    """The test files that name a file's module, in whatever room, then the others of its own room."""
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    every = [path for room in ROOMS for path in sorted((folder / "tests" / room).rglob("test_*.py"))]
    naming = [path for path in every if re.search(rf"{re.escape(module)}\b", path.read_text())]
    paths = [folder / name for name in TESTS[room_of(file)].split()]
    own = [path for place in paths for path in (sorted(place.rglob("test_*.py")) if place.is_dir() else [place])]
    return [path.relative_to(folder).as_posix() for path in dict.fromkeys(naming + own)]


def run(folder: Path, tests: list[str]) -> str | None:
    """The first of these tests that fails in the copy, or None where all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider",
               "-o", f"faulthandler_timeout={LIMIT}", "-o", "faulthandler_exit_on_timeout=true", *tests]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, text=True, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    if done.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if failed is None and done.returncode in (3, 4, 5):  # pytest's own error, a wrong argument, no test
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout}")
    return failed[1] if failed else f"pytest's end with {done.returncode}"


def noticed(folder: Path, change: Change, stamp: int) -> str | None:
    """The test of the room that fails in the copy with this change, and passes without it; None where all pass.

    `stamp` and `stamp + 1` become the file's times: no two versions may share one, or the bytecode of one could be
    taken for the other's. The copy is as it was afterwards.
    """
    file = folder / change.file
    source = file.read_text()
    try:
        file.write_text(change.applied(source))
        os.utime(file, (stamp, stamp))
        failed = run(folder, tests_of(folder, change.file))
    finally:
        file.write_text(source)
        os.utime(file, (stamp + 1, stamp + 1))
    # With all of its parameters: a change may have made the one that failed.
    if failed is not None and failed.startswith("tests/") and run(folder, [failed.partition("[")[0]]) is not None:
        raise SystemExit(f"{failed} fails with nothing changed")
    return failed


def main() -> None:
    """Prints the survivors, or with --json every change; exit code 0, however many survive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--changes", type=int, default=40, help="how many (40)")
    parser.add_argument("--room", default="", help="only files below this folder, such as space or search/proposing")
    parser.add_argument("--json", action="store_true", help="one document of every change on stdout")
    arguments = parser.parse_args()
    picked = chosen(arguments.seed, arguments.changes, arguments.room)
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        copied(folder)
        for number, change in enumerate(picked, 1):
            began = time.monotonic()
            failure = noticed(folder, change, int(time.time()) + 10 * number)
            seconds = time.monotonic() - began
            results.append({**asdict(change), "survived": failure is None, "noticed_by": failure,
                            "seconds": round(seconds, 1)})  # fmt: skip
            verdict = "SURVIVED" if failure is None else f"killed by {failure}"
            print(f"{number}/{len(picked)} {seconds:.0f} s {verdict}: {change}", file=sys.stderr)
    survivors = [change for change, result in zip(picked, results, strict=True) if result["survived"]]
    if arguments.json:
        print(json.dumps({"seed": arguments.seed, "room": arguments.room, "changes": results}, indent=1))
        return
    for change in survivors:
        print(change)
    print(f"{len(survivors)} of {len(picked)} changes survived (seed {arguments.seed})")


if __name__ == "__main__":
    main()
