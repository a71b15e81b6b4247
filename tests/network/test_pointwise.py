"""1x1 convolutions as products of matrices: where they are, and that they are the same."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stage
from archsearch.data.datasets import load_images
from archsearch.network import build
from archsearch.network.layers import SMALL, PointwiseConv, StridedPointwiseConv
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training

NETWORK = Architecture(input=(1, 8, 8), stages=(Stage(depth=2, width=16, block=Block(kind="bottleneck")),))


def layer(channels: int = 16, out: int = 8, *, bias: bool = False, product: bool = True) -> PointwiseConv:
    conv = PointwiseConv(channels, out, 1, bias=bias)
    conv.product = product
    return conv


def images(*shape: int) -> torch.Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return drawn.to(memory_format=torch.channels_last).requires_grad_()


def plain(conv: PointwiseConv, x: torch.Tensor) -> torch.Tensor:
    return functional.conv2d(x, conv.weight, conv.bias)


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows with each product of matrices."""
    seen: list[int] = []
    linear = functional.linear

    def counted(*words: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        return linear(*words)

    monkeypatch.setattr(functional, "linear", counted)
    yield seen


@pytest.mark.parametrize("bias", [False, True])
def test_a_product_has_the_values_gradients_and_layout_of_the_convolution(bias: bool, products: list[int]) -> None:
    conv, x, again = layer(bias=bias), images(4, 16, 5, 7), images(4, 16, 5, 7)
    ours, theirs = conv(x), plain(conv, again)
    assert len(products) == 1
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours, theirs)
    weights = images(4, 8, 5, 7).detach()
    (ours * weights).sum().backward()
    found = [x.grad, *(parameter.grad.clone() for parameter in conv.parameters())]
    conv.zero_grad()
    (theirs * weights).sum().backward()
    wanted = [again.grad, *(parameter.grad for parameter in conv.parameters())]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_elsewhere_it_is_the_convolution_bit_for_bit(products: list[int]) -> None:
    small, large = images(2, 16, 4, 4), images(SMALL // (16 * 8 * 16) + 1, 16, 4, 4)
    for conv, x in ((layer().eval(), small), (layer(product=False), small), (layer(), large)):
        assert torch.equal(conv(x), plain(conv, x))
    conv = layer()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(conv(small), plain(conv, small))
    assert not products


def test_a_network_multiplies_once_it_is_trained_and_never_when_it_is_evaluated(products: list[int]) -> None:
    network = build(NETWORK, seed=0).train()
    pointwise = [module for module in network.modules() if isinstance(module, PointwiseConv)]
    assert len(pointwise) == 4
    network(images(4, 1, 8, 8))
    before = len(products)  # the classifier's
    training = Training(
        network, load_images(DataSettings()), TrainingSettings(epochs=1, batch_size=64, precision="float32"), seed=0
    )
    training.train_epoch()
    assert len(products) - before == training.steps * (len(pointwise) + 1)
    before = len(products)
    network.eval()(images(4, 1, 8, 8))
    assert len(products) == before + 1


STRIDED = """
import torch
from archsearch.architecture.ops import Conv
from archsearch.architecture.quantities import Shape
from archsearch.network.calls import call

def gradients(conv, x, dtype, threads):
    torch.set_num_threads(threads)
    conv.zero_grad()
    x.grad = None
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        scores = conv(x)
    (scores.float() ** 2).sum().backward()
    return [scores.detach(), x.grad, *(parameter.grad.clone() for parameter in conv.parameters())]

torch.manual_seed(0)
for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.1)):
    for channels, stride, side in ((1, 2, 16), (3, 2, 32), (8, 2, 16), (8, 2, 17), (13, 3, 33), (16, 2, 16)):
        conv = call(Conv(out=16, stride=stride, bias=channels == 3), Shape(channels, side, side)).module()
        conv = conv.to(memory_format=torch.channels_last)
        for batch, threads in ((29, 2), (128, 3)):
            x = torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last).requires_grad_()
            right = gradients(conv, x, dtype, 1)
            for _ in range(10):
                ours = gradients(conv, x, dtype, threads)
            for values, expected in zip(ours, right, strict=True):
                torch.testing.assert_close(values, expected, rtol=tolerance, atol=tolerance * expected.abs().max())
print("all right")
"""


def test_strided_ones_with_few_channels_train_on_several_threads() -> None:
    """In a process of its own: a gradient that writes beyond its memory kills it, sooner or later."""
    process = subprocess.run([sys.executable, "-c", STRIDED], capture_output=True, text=True, timeout=300, check=False)
    assert (process.returncode, process.stdout) == (0, "all right\n"), process.stderr[-2000:]


ONE_THREAD = """
import torch
from archsearch.architecture.cost import Shape
from archsearch.architecture.ops import Conv
from archsearch.network.calls import call

torch.set_num_threads(1)
conv = call(Conv(out=12, stride=2), Shape(6, 64, 64)).module().to(memory_format=torch.channels_last)
x = torch.randn(32, 6, 64, 64).contiguous(memory_format=torch.channels_last).requires_grad_()
for _ in range(5):
    conv(x).sum().backward()
print("all right")
"""


def test_strided_ones_with_few_channels_train_large_images_on_one_thread() -> None:
    process = subprocess.run(
        [sys.executable, "-c", ONE_THREAD], capture_output=True, text=True, timeout=300, check=False
    )
    assert (process.returncode, process.stdout) == (0, "all right\n"), process.stderr[-2000:]


def test_strided_ones_are_the_convolution_where_nothing_can_overflow(products: list[int]) -> None:
    conv, x = StridedPointwiseConv(8, 16, 1, stride=2, bias=False), images(4, 8, 16, 16)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(conv(x), functional.conv2d(x, conv.weight, stride=2))
        torch.set_num_threads(2)
        with torch.no_grad():
            assert torch.equal(conv(x), functional.conv2d(x, conv.weight, stride=2))
        program = torch.export.export(conv.eval(), (x.detach(),))
        assert [str(n.target) for n in program.graph.nodes if n.op == "call_function"] == ["aten.conv2d.default"]
    finally:
        torch.set_num_threads(threads)
    assert not products
