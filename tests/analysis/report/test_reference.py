"""Every text and coordinate of the report and of a comparison is what the files in reference/ hold, to a pixel."""

from pathlib import Path

import pytest

from tests.analysis.report.reference import CASES, FOLDER

RENEW = ".venv/bin/python -m tests.analysis.report.reference"


def same(line: str, expected: str) -> bool:
    """Whether two lines are equal but for a pixel of each coordinate."""
    (drawn, bar, rest), (reference, _, others) = line.partition(" | "), expected.partition(" | ")
    if not bar or rest != others or not drawn or drawn.split()[0] != reference.split()[0]:
        return line == expected
    numbers, references = (text.split()[1:] for text in (drawn, reference))
    return len(numbers) == len(references) and all(
        a == b or abs(float(a) - float(b)) <= 1 for a, b in zip(numbers, references, strict=True)
    )


@pytest.mark.parametrize("name", CASES)
def test_a_page_shows_what_its_reference_holds(name: str, tmp_path: Path) -> None:
    lines, expected = CASES[name](tmp_path), (FOLDER / f"{name}.txt").read_text().splitlines()
    pairs = list(zip(lines, expected, strict=False))
    changed = [f"- {old}\n+ {new}" for new, old in pairs if not same(new, old)]
    assert not changed and len(lines) == len(expected), (
        f"{len(changed)} of {len(expected)} lines differ, {len(lines)} are shown. To renew them: {RENEW}\n"
        + "\n".join(changed[:10])
    )
