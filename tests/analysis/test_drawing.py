"""Drawings: every network as well-formed SVG that says what its units are made of."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from archsearch import zoo
from archsearch.analysis.drawing import draw
from archsearch.analysis.outline import label, outline
from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.composites import Reweight, Unit
from archsearch.architecture.cost import Shape
from archsearch.architecture.mixing import Paths
from archsearch.architecture.ops import Conv, Linear, Op, PadShortcut
from archsearch.architecture.plan import plan
from archsearch.architecture.pools import Pool
from archsearch.architecture.spec import Architecture, Stage, Survival
from tests.sampling import sampled

SVG = "{http://www.w3.org/2000/svg}"
BOXED = (Conv, Linear, Pool, PadShortcut, Paths, Reweight)


def said(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg.encode()).iter(f"{SVG}text")]


def boxed(op: Op, x: Shape) -> set[str]:
    """The labels of all boxes, by a walk over the plan of its own; attention is one box, paths side by side are one."""
    if isinstance(op, BOXED):
        return {label(op)}
    return {text for _, part, into in op.parts(x) for text in boxed(part, into)}


def drawn_whole(architecture: Architecture) -> list[str]:
    svg = draw(architecture)
    texts = said(svg)
    planned, x = plan(architecture), Shape(*architecture.input)
    assert boxed(planned, x) <= set(texts)
    for _, stage, into in planned.parts(x)[1:-1]:
        units = [part for _, part, _ in stage.parts(into) if isinstance(part, Unit)]
        assert any(text.startswith(f"{len(units)} ") and "block" in text for text in texts)
        out = stage.shape(into)
        assert f"{out.channels} x {out.height} x {out.width}" in texts or out.height * out.width == 1
    assert any(re.search("digest [0-9a-f]{16}$", text) for text in texts)
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert len(svg) < 200_000
    return texts


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_of_the_zoo_is_drawn_with_all_its_units(name: str) -> None:
    assert name in drawn_whole(zoo.get(name))


@pytest.mark.parametrize("seed", range(4))
def test_any_mixture_of_words_is_drawn(seed: int) -> None:
    for architecture in sampled(15, seed):
        drawn_whole(architecture)


def test_equal_blocks_are_drawn_once() -> None:
    parts = outline(zoo.get("resnet1202_cifar"))
    assert [[column.title for column in part.columns] for part in parts[1:-1]] == [
        ["blocks 1-200"],
        ["block 1", "blocks 2-200"],
        ["block 1", "blocks 2-200"],
    ]
    assert len(draw(zoo.get("resnet110_cifar"))) < 2 * len(draw(zoo.get("resnet20_cifar")))


def test_stochastic_depth_shows_the_range_that_a_group_is_kept_with() -> None:
    columns = [column for part in outline(zoo.get("stochastic_depth_resnet110_cifar")) for column in part.columns]
    units = [column for column in columns if isinstance(column.op, Unit)]
    assert units[0].survival == pytest.approx((1 - 0.5 / 54, 1 - 18 / 54 * 0.5))
    assert units[-1].survival == pytest.approx((1 - 38 / 54 * 0.5, 0.5))
    texts = said(draw(zoo.get("stochastic_depth_resnet110_cifar")))
    assert "kept with p = 0.991 to 0.833" in texts
    counted = Survival(schedule="count", blocks=23)
    network = zoo.get("stochastic_depth_resnet110_cifar").model_copy(update={"survival": counted})
    assert said(draw(network)).count("23 of 54 kept") == 5, "each group of equal blocks"


@pytest.mark.parametrize("name", ['<a> & "b"', "</text><script>", "a\x00b\x1f", "é ‖ 日本", "\ud800"])
def test_a_name_is_text_whatever_stands_in_it(name: str) -> None:
    svg = draw(zoo.get("resnet20_cifar").model_copy(update={"name": name}))
    root = ET.fromstring(svg.encode())
    shown = "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else " " for c in name)
    assert shown in said(svg)
    assert not list(root.iter(f"{SVG}script"))


def test_a_long_name_is_cut_to_the_width() -> None:
    svg = draw(Architecture(name="long " * 200, stages=(Stage(depth=1),)))
    shown = next(text for text in said(svg) if text.startswith("long"))
    assert shown.endswith("…")
    assert len(shown) < 100


def test_the_same_network_gives_the_same_text() -> None:
    network = zoo.get("dpn92")
    assert draw(network) == draw(Architecture.from_yaml(network.to_yaml()))
    assert f"digest {digest(network)}" in draw(network)


def test_the_readmes_picture_is_what_is_drawn() -> None:
    picture = Path(__file__).parents[2] / "docs/pictures/resnet50.svg"
    assert draw(zoo.get("resnet50")) == picture.read_text()


def test_texts_stay_within_the_picture() -> None:
    """By the estimate of a text's width, which is on the wide side."""
    for name in ("resnet20_cifar", "dpn92", "highway19_cifar", "cbam_resnet50", "plain20_cifar"):
        root = ET.fromstring(draw(zoo.get(name)).encode())
        width, height = (float(root.attrib[key]) for key in ("width", "height"))
        for x, y, text in placed(root, 0, 0):
            assert x - text[0] >= 0, text
            assert x + text[1] <= width, text
            assert 0 <= y <= height


def placed(node: ET.Element, x: float, y: float):
    """Where each text starts and how far it reaches to either side."""
    if transform := node.get("transform"):
        dx, dy = (float(n) for n in transform.removeprefix("translate(").removesuffix(")").split())
        x, y = x + dx, y + dy
    if node.tag == f"{SVG}text":
        long = len(node.text or "") * float(node.attrib["font-size"]) * 0.6
        left = long / 2 if node.get("text-anchor") == "middle" else 0
        yield x + float(node.attrib["x"]), y + float(node.attrib["y"]), (left, long - left, node.text)
    for child in node:
        yield from placed(child, x, y)


def test_every_way_of_joining_has_its_picture() -> None:
    pictures = {
        draw(Architecture(stages=(Stage(depth=2, block=block),)))
        for block in (
            Block(link="plain"),
            Block(),
            Block(link="dense"),
            Block(link="dual_path"),
            Block(link="highway"),
            Block(gate="shortcut"),
            Block(learned_gain=True),
        )
    }
    assert len(pictures) == 7


def test_paths_side_by_side_are_one_box_that_names_their_convolutions() -> None:
    def labels(**words) -> list[str]:
        block = Block(kind="bottleneck", bottleneck_ratio=1.0, **words)
        unit = outline(Architecture(stages=(Stage(depth=2, width=16, block=block),)))[1].columns
        return [label(op) for column in unit for _, op in column.op.branch.steps if isinstance(op, Paths | Reweight)]

    assert labels(scales=4) == ["4 paths: 3x3, 4, /2; average pool 3x3, /2", "4 scales: 3x3, 4"]
    assert labels(attention="selective") == ["2 paths: 3x3, 16, /2; 3x3, 16, d2, /2", "split, 1",
                                             "2 paths: 3x3, 16; 3x3, 16, d2", "split, 1"]  # fmt: skip
    assert labels(attention="split") == ["split, 32"] * 2
