"""Networks drawn over the whole vocabulary: every key and value is reached; 1,000 of them count, train and export."""

import json
from pathlib import Path
from typing import get_args, get_origin

import pytest
import torch
from pydantic import BaseModel
from safetensors.torch import save_file

from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture, Head, Stage, Stem, Survival
from archsearch.cli import main
from archsearch.network import build
from archsearch.network.oracle import counted_by_fvcore
from archsearch.reading.errors import InputError
from tests.sampling import sampled

ODD = (21, 27)  # height and width that no stride divides
# Keys whose values are numbers of the whole network, which the samples vary by other means.
LEFT_OUT = {"stages.depth"}


def sections(network: Architecture) -> list[tuple[str, BaseModel]]:
    stages = [("stages", stage) for stage in network.stages]
    blocks = [("block", stage.block) for stage in network.stages]
    return [("stem", network.stem), *stages, *blocks, ("head", network.head), ("survival", network.survival)]


def test_the_samples_reach_every_key_and_every_value_of_a_choice() -> None:
    seen: dict[str, set[object]] = {}
    for network in sampled(600, seed=3):
        for section, model in sections(network):
            for key in type(model).model_fields:
                if key != "block":
                    seen.setdefault(f"{section}.{key}", set()).add(getattr(model, key))
    for section, kind in (("stem", Stem), ("stages", Stage), ("block", Block), ("head", Head), ("survival", Survival)):
        for key, info in kind.model_fields.items():
            if key == "block" or f"{section}.{key}" in LEFT_OUT:
                continue
            values = seen[f"{section}.{key}"]
            assert len(values) > 1, f"{section}.{key} is never drawn"
            allowed = get_args(info.annotation) if get_origin(info.annotation) else ()
            named = {value for value in allowed if isinstance(value, str)}
            assert named <= values, f"{section}.{key}: {named - values} are never drawn"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_hundred_networks_count_train_and_keep_their_digest(seed: int) -> None:
    for network in sampled(100, seed=seed):
        assert digest(Architecture.from_yaml(network.to_yaml())) == digest(network)
        for size in (network.input[1:], ODD):
            resized = network.model_copy(update={"input": (network.input[0], *size)})
            try:
                counted = cost(resized)
            except InputError:  # the image runs out on the way
                continue
            assert counted == counted_by_fvcore(resized), resized.to_yaml()
        survival = network.survival.model_copy(update={"last": 1.0, "blocks": None})
        model = build(network.model_copy(update={"survival": survival}), seed=seed).train()
        images = torch.randn(3, *network.input, generator=torch.Generator().manual_seed(seed))
        model(images).square().sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), (name, network.to_yaml())
        with torch.no_grad():
            assert torch.isfinite(model.eval()(images)).all()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_networks_are_exported_to_every_format(number: int, tmp_path: Path) -> None:
    network = sampled(20, seed=2026)[number]
    (tmp_path / "network.yaml").write_text(network.to_yaml())
    save_file(build(network, seed=number).state_dict(), tmp_path / "weights.safetensors")
    words = ["export", str(tmp_path / "network.yaml"), "--weights", str(tmp_path / "weights.safetensors")]
    assert main([*words, "-o", str(tmp_path / "bundle")]) == 0
    parity = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["parity"]
    assert {row["format"] for row in parity} == {"python", "onnx", "torch-export"}
    assert all(row["kept"] and row["difference"] <= 1e-4 * max(1.0, row["largest"]) for row in parity), parity
