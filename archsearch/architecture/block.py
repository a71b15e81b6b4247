"""The words of one residual unit, and which of them leave it a branch that no training would change."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from archsearch.reading.model import StrictModel

Kind = Literal["single", "basic", "bottleneck"]
Link = Literal["plain", "residual", "dense", "dual_path", "highway"]
Layers = Literal[1, 2, 3, 4, "3-1-3", "1-3", "3-1", "3-1-1"]
Placement = Literal["post", "pre", "norm_after_addition", "relu_before_addition", "relu_only_pre", "linear"]
Shortcut = Literal["A", "A_pool", "B", "B_pool", "C", "none"]
Attention = Literal["none", "se", "cbam", "eca", "split", "selective", "selective_sliced"]
Nonlinearity = Literal["relu", "silu", "gelu", "hard_swish", "relu6"]


class Block(StrictModel):
    """One residual unit's words: what its branch computes and how it is joined with its input."""

    kind: Kind = Field(
        "basic",
        description="single: one 3x3 convolution (Highway); basic: two; bottleneck: 1x1, 3x3, 1x1 "
        "(He 2015, figure 5). With dense links, single and basic are one 3x3, and "
        "bottleneck is a 1x1 and a 3x3 (Huang 2017).",
    )
    layers: Layers | None = Field(
        None,
        description="Number of 3x3 convolutions of a branch, or its 3x3 and 1x1 convolutions in order (Zagoruyko 2016, "
        "arXiv:1605.07146, section 2: B(3,1,3) is 3-1-3 with block basic). In a bottleneck they stand between its 1x1 "
        "convolutions. Default: by the block, which is basic with 2 and single with 1.",
    )
    kernel: Literal[3, 5, 7] = Field(3, description="Size of the kernels of a branch that are called 3x3 here.")
    link: Link = Field(
        "residual",
        description="plain: no shortcut; residual: addition (He 2015); dense: concatenation (Huang 2017); dual_path: "
        "both (Chen 2017); highway: T * F + (1 - T) * x with a learned gate T (Srivastava 2015).",
    )
    bottleneck_ratio: float = Field(
        0.25,
        gt=0,
        le=8,
        description="Channels of a bottleneck's 3x3 as a multiple of the stage's width (ResNet-50: "
        "0.25, Wide ResNet-50-2 and ResNeXt-50: 0.5), rounded to a multiple of the "
        "cardinality or of the group width.",
    )
    first_ratio: float = Field(
        1.0,
        gt=0,
        le=8,
        description="Output channels of a bottleneck's first 1x1 as a multiple of those of its 3x3 (Hu 2018: 0.5 in "
        "SENet-154), rounded to a multiple of the groups. No effect on other blocks.",
    )
    scales: int = Field(
        1,
        ge=1,
        le=8,
        description="Parts of a bottleneck's channels (Res2Net, Gao 2019): the 3x3 of each but the last reads its part "
        "plus what the part before made of its own; the last is left as it is. Where shapes change, nothing is added, "
        "and the last is averaged over 3x3. No effect on other blocks, nor with split or selective attention.",
    )
    cardinality: int = Field(
        1,
        ge=1,
        le=65_536,
        description="Groups of a bottleneck's 3x3 (ResNeXt, Xie 2017). No effect on other blocks.",
    )
    group_width: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Channels of each group of a bottleneck's 3x3, in place of the cardinality (RegNet, Radosavovic "
        "2020); 1 is a depthwise convolution (Howard 2017). A group is no wider than the 3x3, whose channels are "
        "rounded to a multiple of the group's. No effect on other blocks.",
    )
    growth_rate: int = Field(
        12,
        ge=0,
        le=1024,
        description="Channels that each dense or dual-path block adds (DenseNet's k). A dual path "
        "with growth 0 is residual.",
    )
    dense_bottleneck: int = Field(
        4,
        ge=1,
        le=16,
        description="Output channels of a dense bottleneck's 1x1, as a multiple of the growth rate (DenseNet-B: 4).",
    )
    activation: Placement = Field(
        "post",
        description="Position of norm and ReLU (He 2016, figure 4): post (v1), pre (v2, full "
        "pre-activation), norm_after_addition, relu_before_addition, relu_only_pre. linear: post without the "
        "activation function behind the join (MobileNetV2, Sandler 2018, arXiv:1801.04381); dense blocks and branches "
        "of one convolution keep it.",
    )
    nonlinearity: Nonlinearity = Field(
        "relu",
        description="Activation function, also of the stem (the first stage's) and of a stage's entry: relu; silu "
        "(Ramachandran 2017, arXiv:1710.05941); gelu (Hendrycks 2016, arXiv:1606.08415); hard_swish (Howard 2019, "
        "arXiv:1905.02244); relu6 (Sandler 2018, arXiv:1801.04381). Attention and the head keep ReLU.",
    )
    norm: Literal["batch", "group", "none"] = Field(
        "batch",
        description="group: group normalisation (Wu & He 2018, arXiv:1803.08494), the same for any batch; none: no "
        "norms; convolutions have biases instead (Highway). Attention keeps batch norms.",
    )
    norm_groups: int = Field(
        32,
        ge=1,
        le=1024,
        description="Groups of a group norm, taken to their greatest common divisor with its channels (1: all channels "
        "together). No effect with other norms.",
    )
    weight_standardization: bool = Field(
        False,
        description="Whether convolutions use filters of mean 0 and variance 1, made of their weights at each step "
        "(Qiao 2019, arXiv:1903.10520; with group norms BiT, Kolesnikov 2020, arXiv:1912.11370).",
    )
    bias: bool = Field(
        False,
        description="Whether convolutions have biases beside norms too (VGG with batch normalisation). No effect with "
        "norm: none.",
    )
    shortcut: Shortcut = Field(
        "B",
        description="Shortcut where shapes change (He 2015): A subsamples and pads with zero "
        "channels; A_pool averages and pads (Huang 2016's code); B is a 1x1 "
        "projection; B_pool an average pool and a 1x1 projection without stride (ResNet-D, He 2018, "
        "arXiv:1812.01187); C projects every shortcut (He 2016's 1x1 conv shortcut); "
        "none: a block that changes the shape has no shortcut, and is a plain one (MobileNetV2, Sandler 2018, "
        "arXiv:1801.04381).",
    )
    shortcut_kernel: Literal[1, 3] = Field(
        1,
        description="Kernel size of a projection (B, C) that has a stride (SENet-154, Hu 2018: 3). Others are 1x1.",
    )
    shortcut_scale: float = Field(1.0, ge=-2, le=2, description="Constant factor on the shortcut (He 2016: 0, 0.5).")
    shortcut_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout rate on the shortcut (He 2016: 0.5).")
    branch_scale: float = Field(1.0, ge=-2, le=2, description="Constant factor on the branch (He 2016: 0.5).")
    gate: Literal["none", "exclusive", "shortcut"] = Field(
        "none",
        description="A 1x1 convolution with sigmoid as gate g (He 2016, section 3.1). exclusive: g "
        "* F + (1 - g) * x; shortcut: F + (1 - g) * x.",
    )
    gate_bias: float | None = Field(
        None, ge=-20, le=20, description="Initial bias of the gate. Default: -2 for highway links, -6 for other gates."
    )
    stride_at: Literal["conv1x1", "conv3x3"] = Field(
        "conv3x3",
        description="Which convolution has the stride: the branch's first, so a bottleneck's 1x1 (ResNet v1), or its "
        "first 3x3 (v1.5).",
    )
    downsample: Literal["stride", "blur", "average", "average_overlapping", "average_before"] = Field(
        "stride",
        description="What a branch halves the resolution with. stride: the convolution that stride_at says; blur, "
        "average: that convolution has no stride, and behind its norm and ReLU stands a 3x3 blur (Zhang 2019, "
        "arXiv:1904.11486) or an average pool that has it; average_overlapping: "
        "an average over 3x3 pixels (ResNeSt, Zhang 2020, arXiv:2004.08955); average_before: the same before that "
        "convolution. No effect on the paths of scales and selective attention.",
    )
    attention: Attention = Field(
        "none",
        description="Attention on the branch: se (Hu 2018), cbam (Woo 2018), eca (Wang 2020). split and selective "
        "make several paths of the first 3x3, whose sum they weight channel by channel: split (ResNeSt, Zhang 2020, "
        "arXiv:2004.08955), whose paths are groups of one convolution; selective (Li 2019, arXiv:1903.06586), whose "
        "paths have dilations of 1, 2, ...; selective_sliced (timm's skresnet), where each of them reads a part of the "
        "channels.",
    )
    radix: int = Field(2, ge=1, le=4, description="Number of paths of split and selective attention.")
    attention_at: Literal["output", "inside"] = Field(
        "output",
        description="output: before the branch is added or concatenated; inside: before its last convolution, behind "
        "the norm and ReLU of the one before, or that one itself with pre (RegNetY). No effect on branches of one "
        "convolution.",
    )
    attention_reduction: int = Field(16, ge=1, le=256, description="Reduction ratio of se, cbam, split and selective.")
    attention_from: Literal["branch", "input"] = Field(
        "branch",
        description="Channels that attention_reduction divides: those that attention weights, or the block's input's "
        "(RegNetY).",
    )
    attention_rounding: int = Field(
        1,
        ge=1,
        le=64,
        description="The hidden channels of attention are rounded to the nearest multiple of this, and are at least "
        "as many (timm: 8). 1: rounded down. Those of split are at least 32.",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Dropout rate: before the last convolution of a branch (Wide ResNet: 0.3), "
        "after it with dense links (DenseNet: 0.2), at the stage's entry for single "
        "blocks (Highway: 0.2).",
    )
    learned_gain: bool = Field(
        False,
        description="Whether the branch is multiplied by a learned scalar that starts at 0 and "
        "stays in (-1, 1) (Shen & Zeng 2016).",
    )
    layer_scale: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Initial value of a learned factor for each channel of the branch (LayerScale, Touvron 2021, "
        "arXiv:2103.17239: 0.1 to 1e-6); 0: no such factor.",
    )

    zero_init: bool = Field(
        False,
        description="Whether the scale of a branch's last norm (post, linear, relu_only_pre) starts at 0, "
        "so that each block starts as the identity (Goyal 2017, arXiv:1706.02677). No "
        "effect on plain and dense blocks.",
    )

    def never_trains(self, following: str = "") -> str | None:
        """Why no step of training would change the branch: which words give it no gradient, and what is allowed
        instead. None where it trains. `following`: the activation of the next stage's blocks."""
        starts_at_zero = [
            name
            for name, is_set in (
                ("learned_gain", self.learned_gain and self.link != "plain"),
                ("zero_init", self.zero_init and self._ends_branch_in_norm()),
            )
            if is_set
        ]
        if self.link == "plain":
            return None
        if self.branch_scale == 0:
            return "branch_scale: 0 takes the branch away; allowed: any other factor"
        if self.shortcut_scale == 0 and not self._shortcut_can_vanish():
            return (
                "shortcut_scale: 0 leaves weights of the shortcut without effect; allowed: 0 with residual or highway "
                "links, shortcut A, A_pool or none and no gate on the shortcut"
            )
        if len(starts_at_zero) == 2:
            return "learned_gain and zero_init are two factors that start at 0; allowed: one of them"
        cuts = self.nonlinearity in ("relu", "relu6")  # the others have a gradient at 0 and pass negative numbers
        placement = next(
            (p for p in (self.activation if cuts else "", following) if p in ("pre", "relu_only_pre")), None
        )
        if starts_at_zero and self.link == "dense" and placement:
            allowed = "allowed: learned_gain where neither this stage nor the next is pre or relu_only_pre"
            return f"a dense block's output of 0 (learned_gain) stays 0 behind {placement}'s ReLU; {allowed}"
        if starts_at_zero and self.link != "dense" and (self.shortcut_scale == 0 or (cuts and self.shortcut_scale < 0)):
            return (
                f"shortcut_scale: {self.shortcut_scale:g} and a branch that starts at 0 ({starts_at_zero[0]}) leave "
                "nothing that a ReLU would pass; allowed: a factor above 0"
            )
        return None

    def _shortcut_can_vanish(self) -> bool:
        """Whether nothing is lost with the shortcut but the input itself: it has no weights."""
        weightless = self.shortcut in ("A", "A_pool", "none")
        return self.link in ("residual", "highway") and weightless and self.gate != "shortcut"

    def _ends_branch_in_norm(self) -> bool:
        """Whether `zero_init` has a norm to act on."""
        return (
            self.norm != "none"
            and self.link not in ("plain", "dense")
            and self.activation in ("post", "linear", "relu_only_pre")
        )

    @model_validator(mode="after")
    def _dense_blocks_grow(self) -> Self:
        if self.link == "dense" and self.growth_rate == 0:
            raise ValueError("a dense block adds growth_rate channels; allowed: 1 to 1024")
        return self

    @model_validator(mode="after")
    def _trains(self, info: ValidationInfo) -> Self:
        # With a context a person wrote the network. A space may hold such words beside others: then plan.py refuses it.
        if info.context and (problem := self.never_trains()):
            raise ValueError(problem)
        return self
