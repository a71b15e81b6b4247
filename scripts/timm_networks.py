"""timm's residual networks beside the zoo's of the same names: fvcore's counts, and outputs with equal weights.

`python -m scripts.timm_networks` counts what tests/zoo/timm.json does not have yet, and compares all counts;
`--recount` counts all of them (minutes). `--outputs` compares outputs too, of networks of up to `LARGEST` parameters,
whose weights are drawn at random; `--only TEXT` those with this in their names.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Iterator

import torch
from torch import nn

from archsearch import zoo
from archsearch.network.build import skeleton
from archsearch.network.published import convert_weights, layout_for
from scripts.pages.timm import COUNTS, Counts, differences, reason

FILES = ("resnet", "resnetv2", "densenet", "dpn", "senet", "resnest", "res2net", "sknet", "regnet", "vgg")
LARGEST = 250_000_000  # parameters of a network whose outputs are compared
SIDE = 96  # pixels of the images, two at a time; VGG's hidden layers see more
CLOSE = 1e-5  # the largest difference of outputs that are equal, over the largest output


def entry_points() -> Iterator[tuple[str, str]]:
    """timm's files and the networks of each, without the aliases of older names."""
    from timm.models._registry import _deprecated_models, _module_to_models

    for file in FILES:
        for name in sorted(set(_module_to_models[file]) - _deprecated_models.keys()):
            yield file, name


def timm_model(name: str) -> nn.Module:
    """timm's network with zeros for weights, in eval mode."""
    import timm

    with torch.device("meta"):
        model: nn.Module = timm.create_model(name, pretrained=False).eval()
    if dict(model.named_buffers()).keys() - model.state_dict().keys():  # a blur's filter, which no file has
        model = timm.create_model(name, pretrained=False).eval()
    else:
        model.to_empty(device="cpu")
    for value in model.state_dict().values():
        value.zero_()
    return model


def counted_by_fvcore(name: str) -> dict[str, int]:
    """timm's parameters, and fvcore's count of one image of 224x224 by operator."""
    from fvcore.nn import FlopCountAnalysis

    model = timm_model(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(model, torch.zeros(1, 3, 224, 224))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counts = {operator: int(count) for operator, count in analysis.by_operator().items() if count}
    return {"params": sum(parameter.numel() for parameter in model.parameters()), **counts}


def difference_of_outputs(name: str) -> float:
    """The largest difference of the scores over the largest of timm's, with equal weights."""
    theirs, draws = timm_model(name), torch.Generator().manual_seed(0)
    for key, value in theirs.state_dict().items():
        draw(key, value, draws)
    ours = skeleton(zoo.get(name)).eval()
    ours.load_state_dict(convert_weights(theirs.state_dict(), name, "timm"), assign=True)
    images = torch.randn(2, 3, *[224 if name.startswith("vgg") else SIDE] * 2, generator=draws)
    with torch.inference_mode():
        wanted, scores = theirs(images), ours(images)
    if not torch.isfinite(wanted).all() or wanted.std() < 1e-3:
        raise ValueError(f"{name}: outputs that tell nothing")
    return float((scores - wanted).abs().max() / wanted.abs().max())


def draw(key: str, value: torch.Tensor, draws: torch.Generator) -> None:
    """Values that keep the scale from layer to layer; none is 0 or 1, which would hide a difference."""
    if not value.is_floating_point():
        value.zero_()
    elif value.ndim > 1:
        value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=draws)
    elif key.endswith(("running_mean", "bias")):
        value.normal_(0, 0.2, generator=draws)
    else:
        value.uniform_(0.5, 1.0, generator=draws)


def compared(name: str, theirs: dict[str, int], *, outputs: bool) -> str:
    """Why the zoo has no such network, or what differs; empty where nothing does."""
    problem = differences(name, theirs)
    if problem is None:
        return reason(name)
    if problem or not outputs or theirs["params"] > LARGEST or not layout_for(zoo.get(name), "timm"):
        return problem
    difference = difference_of_outputs(name)
    return "" if difference < CLOSE else f"outputs differ by {difference:.1e}"


def main() -> int:
    """Counts and compares; 1 where a network of the zoo differs from timm's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recount", action="store_true")
    parser.add_argument("--outputs", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    counts: Counts = {} if options.recount else json.loads(COUNTS.read_text())
    equal, named, shown = 0, 0, 0
    for file, name in entry_points():
        networks = counts.setdefault(file, {})
        if name not in networks:
            networks[name] = counted_by_fvcore(name)
        if options.only in name:
            problem = compared(name, networks[name], outputs=options.outputs)
            shown, equal = shown + 1, equal + (not problem)
            named += differences(name, networks[name]) is not None
            print(f"{file:9} {name:28} {problem or 'equal'}", flush=True)
    COUNTS.write_text(json.dumps(counts, indent=0) + "\n")
    print(f"{equal} of {shown} are equal, {named} have a name in the zoo")
    return int(equal < named)


if __name__ == "__main__":
    sys.exit(main())
