"""check's page for people: what it says of a space that is counted whole."""

from pathlib import Path

from archsearch.cli import main

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
training: {epochs: 2}
"""

COUNTED = """\
space         small: 24 combinations
budget        50.0k <= flops <= 1.00M, params <= 3.00k, latency <= 5 ms
fits          20.83 % of all 24 networks
  flops       45.83 % keep it (7 below, 6 above); without it 50.00 % would fit (the hardest)
  params      50.00 % keep it (12 above); without it 45.83 % would fit
  latency     is measured when the search runs; not counted here
out of reach  width: 16, 512 (no network within the budget has these)

of what fits   least    5 %  median   95 %   most  median of all
  flops        61.5k  61.5k   63.8k   140k   140k           140k
  params       1.01k  1.01k   1.08k  2.26k  2.26k          2.26k
  macs         57.6k  57.6k   59.7k   133k   133k           133k
  activations  1.80k  1.80k   1.80k  2.83k  2.83k          2.83k
  memory       1.89M  1.89M   2.02M  2.95M  2.95M          2.95M
cheapest      12.8k FLOPs, 246 parameters; of the whole space
"""

BARS = """\
flops of all 24 networks (# within the budget, . beyond)
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
