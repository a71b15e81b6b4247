"""What attention is made of: on a branch, and among the paths of a convolution."""

from __future__ import annotations

from archsearch.architecture.block import Block
from archsearch.architecture.composites import Reweight, named
from archsearch.architecture.mixing import RadixSoftmax, SplitPool
from archsearch.architecture.ops import ChannelConv, ChannelMlp, ChannelStatistics, Conv, Norm, Op, Relu, Sigmoid
from archsearch.architecture.pools import GlobalPool
from archsearch.architecture.quantities import floored, larger, log2_floor

MIXING = ("split", "selective", "selective_sliced")  # attention among the paths of a convolution


def attention(block: Block, channels: int, into: int) -> tuple[Op, ...]:
    """Squeeze-and-excitation (Hu 2018), CBAM (Woo 2018) or ECA (Wang 2020) on so many channels of a block whose input
    has `into`; nothing where a block has no attention, or one among paths."""
    hidden = _hidden(block, into if block.attention_from == "input" else channels)
    pool = GlobalPool(adaptive=False, flat=False)
    match block.attention:
        case "se":
            squeezed = Conv(out=hidden, bias=True), Relu(), Conv(out=channels, bias=True)
            return (Reweight(weights=named(pool, *squeezed, Sigmoid())),)
        case "cbam":
            positions = ChannelStatistics(), Conv(out=1, kernel=7), Norm(), Sigmoid()
            return Reweight(weights=named(ChannelMlp(hidden=hidden))), Reweight(weights=named(*positions))
        case "eca":
            # Equation 12 of the paper: the nearest odd number to log2(C) / 2 + 1 / 2, rounded as its code does.
            kernel = (log2_floor(channels) + 1) // 2
            kernel += 1 - kernel % 2
            return (Reweight(weights=named(pool, ChannelConv(kernel=kernel), Sigmoid())),)
    return ()


def recombined(block: Block, conv: Conv, into: int, norms: tuple[Op, ...]) -> Op:
    """Paths of a convolution's channels, weighted and added: by a softmax over the paths, or a sigmoid of one. `norms`
    stand behind the first layer of the weights."""
    radix, split = block.radix, block.attention == "split"
    groups, bias = conv.groups if split else 1, split or block.norm == "none"
    base = into if block.attention_from == "input" else conv.out
    hidden = larger(_hidden(block, base * radix), 32) if split else _hidden(block, base)
    reduce = Conv(out=-(-hidden // groups) * groups, groups=groups, bias=bias)
    select = Conv(out=radix * conv.out, groups=groups, bias=bias)
    weights = Sigmoid() if radix == 1 else RadixSoftmax(radix=radix, groups=groups)
    return Reweight(weights=named(SplitPool(radix=radix), reduce, *norms, Relu(), select, weights), radix=radix)


def _hidden(block: Block, channels: int) -> int:
    """Hidden channels of attention: a part of the channels, rounded down or to the nearest multiple."""
    reduction, multiple = block.attention_reduction, block.attention_rounding
    if multiple == 1:
        return floored(channels // reduction)
    return multiple * floored((2 * channels + multiple * reduction) // (2 * multiple * reduction))
