"""check's page for people: what it says of a space that is counted whole."""

import json
from pathlib import Path

import pytest

from archsearch.cli import main
from archsearch.cli.showing.page import _figure, _foretold, _hours, _seconds
from archsearch.space.loading import load_space
from tests.sources.laid_out import digits, png

SPACE = """\
archsearch: 1
name: small
data: {name: digits}
space:
  stem: {width: 4}
  stages: 1
  depth: {int: [1, 3]}
  width: {choice: [4, 8, 16, 512]}
  block: {choice: [basic, single]}
budget:
  flops: {between: [50k, 1M]}
  params: {max: 3k}
  latency: {max: 5}
search: {trials: 6}
training: {recipe: none, epochs: 2}
"""

COUNTED = """\
space         small: 24 combinations
budget        50.0k <= flops <= 1.00M, params <= 3.00k, latency <= 5 ms
fits          20.83 % of all 24 networks
  flops       45.83 % within it (7 below, 6 above); without it 50.00 % would (tightest limit)
  params      50.00 % within it (12 above); without it 45.83 % would
  latency     measured while the search runs; not counted here
out of reach  width: 16, 512 (no network within the budget has these)

in budget        min    5 %  median   95 %    max  median (all)
  flops        61.5k  61.5k   63.8k   140k   140k          140k
  params       1.01k  1.01k   1.08k  2.26k  2.26k         2.26k
  macs         57.6k  57.6k   59.7k   133k   133k          133k
  activations  1.80k  1.80k   1.80k  2.83k  2.83k         2.83k
  memory       1.89M  1.89M   2.02M  2.95M  2.95M         2.95M
smallest      12.8k FLOPs, 246 parameters (whole space)
"""

BARS = """\
flops of all 24 networks (# within the budget, . outside)
   12.8k to  32.1k        4  ...........................
   32.1k to  80.1k        6  ####################....................
   80.1k to   200k        4  #############..............
    200k to   500k        3  ....................
    500k to  1.25M        1  .......
   1.25M to  3.12M        1  .......
   3.12M to  7.79M        0
   7.79M to  19.4M        0
   19.4M to  48.6M        0
   48.6M to   121M        0
    121M to   303M        2  .............
    303M to   757M        3  ....................
"""


def test_the_page_says_what_fits_what_is_hardest_and_what_networks_cost(tmp_path: Path, capsys) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE)
    assert main(["check", str(file), "--no-probe"]) == 0
    page = "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())
    assert COUNTED in page
    assert BARS in page


FORECAST = {
    "trials": 40, "trial_epochs": 200.0, "trial_epochs_at_most": 360, "epoch_seconds": 1.5, "networks": 96,
    "at_once": 1, "hours": 3.0, "hours_at_most": 6.0, "gpu_hours": None, "gpu_hours_at_most": None, "wall_hours": None,
}  # fmt: skip
PROBE = {
    "networks": [1, 2], "seconds": 8.0, "device": "cpu", "device_name": "a core", "threads": 1, "precision": "float32",
    "busy": False, "error": 0.05,
}  # fmt: skip


def foretold(tmp_path: Path, probe: dict[str, object] | None = None, **forecast: object) -> str:
    """What the page says of a forecast."""
    file = tmp_path / "space.yaml"
    file.write_text(SPACE)
    document = {
        "trials": 40, "epochs": 9, "search_flops_at_most": None, "not_foretold": None, "placement": None,
        "execution": None,
        "forecast": {**FORECAST, **forecast}, "probe": {**PROBE, **(probe or {})},
    }  # fmt: skip
    return "\n".join(_foretold(load_space(file), document))


def test_of_a_folder_or_a_table_the_space_is_checked_that_run_would_search(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels, labels = digits(60)
    rows = ["path,label"]
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        path = Path("images", str(label), f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
        rows.append(f"{path},{label}")
    Path("labels.csv").write_text("\n".join(rows))
    for subject in ("images", "labels.csv"):
        words = [subject, "--time", "2m", "--flops", "300k", "--no-probe", "--set", "training.epochs=4"]
        assert main(["run", *words[:5], *words[6:], "--dry-run", "--json"]) == 0
        planned = json.loads(capsys.readouterr().out)
        assert main(["check", *words, "--json"]) == 0
        checked = json.loads(capsys.readouterr().out)
        assert checked["epochs"] == 4 and checked["trials"] == planned["trials"] and checked["size"] > 1
        assert not Path("experiments").exists() and not list(Path().glob("*.yaml"))


def test_the_page_says_what_ends_a_search_in_epochs(tmp_path: Path, capsys) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE)
    for words, expected in (([], "on digits\n"), (["--set", "search.epochs=9"], "on digits, 9 epochs in total\n")):
        assert main(["check", str(file), "--no-probe", *words]) == 0
        assert f"6 trials of at most 2 epochs {expected}" in capsys.readouterr().out


def test_the_page_says_how_a_search_ends(tmp_path: Path) -> None:
    rungs = "6 h if no trial is stopped early"
    ends = "search.wall_time ends it"
    assert rungs in foretold(tmp_path) and ends not in foretold(tmp_path)
    assert "if no trial is stopped early" not in foretold(tmp_path, trial_epochs=360.0)
    assert ends in foretold(tmp_path, wall_hours=3.0), "which is when the forecast ends too"
    assert ends not in foretold(tmp_path, wall_hours=3.5) and rungs in foretold(tmp_path, wall_hours=3.5)


def test_the_page_speaks_of_gpus_threads_and_a_busy_machine_where_there_are_any(tmp_path: Path) -> None:
    alone = foretold(tmp_path)
    assert "GPU time" not in alone and "share memory" not in alone and "is busy" not in alone and "1 thread," in alone
    crowded = foretold(tmp_path, {"busy": True, "threads": 2}, at_once=2, gpu_hours=0.5, gpu_hours_at_most=1.0)
    assert "; 30 min of GPU time" in crowded and "1 h of GPU time if no trial" in crowded
    assert "share memory" in crowded and "is busy" in crowded and "2 threads," in crowded


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (_figure, 3.14159, "3.1"), (_figure, 99.4, "99"), (_figure, 100.0, "100"), (_figure, 12345.0, "12,345"),
        (_seconds, 0.01234, "0.0123 s"), (_seconds, 1234.0, "1,234 s"),
        (_hours, 0.01, "36 s"), (_hours, 1 / 30, "2 min"), (_hours, 1.99, "1 h 59 min"), (_hours, 2.0, "2 h"),
        (_hours, 99.9, "4 days 4 h"), (_hours, 100.0, "4 days 4 h"),
    ],
)  # fmt: skip
def test_figures_seconds_and_hours_are_written_by_their_size(write, value: float, text: str) -> None:
    assert write(value) == text
