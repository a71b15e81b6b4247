"""A network as ONNX and as torch.export's program, both for any number of images at once."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from archsearch.guests.either import described
from archsearch.guests.guest import Guest
from archsearch.network.layers import StandardizedConv
from archsearch.reading.errors import refuse

Format = Literal["python", "onnx", "torch-export"]
NEEDED = ("onnx", "onnxscript", "onnxruntime")
IMAGES, SCORES = "images", "scores"


def refuse_without_onnx() -> None:
    """Raises InputError where what writes and checks ONNX is not installed: the extra `export`."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise refuse(
            f"ONNX needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            allowed="an installation with the extra `export`",
            hint='pip install "archsearch[export]"',
            file="--format onnx",
        )


def program(network: nn.Module) -> ExportedProgram:
    """torch.export's program of the network in eval mode; its first axis is any number of images. Raises InputError for
    a guest that torch.export cannot take."""
    images = torch.zeros(2, *described(network).input)
    with quiet(), refused_of_guests(network, "torch-export"):
        return torch.export.export(_Images(folded(network)).eval(), (images,), dynamic_shapes=({0: Dim("batch")},))


def folded(network: nn.Module) -> nn.Module:
    """The network, or a copy of it whose standardised weights are those of plain convolutions."""
    if not any(isinstance(module, StandardizedConv) for module in network.modules()):
        return network
    network = deepcopy(network)
    for parent in list(network.modules()):
        for name, conv in parent.named_children():
            if isinstance(conv, StandardizedConv):
                setattr(parent, name, conv.folded())
    return network


def write_program(exported: ExportedProgram, file: Path) -> None:
    """model.pt2; `torch.export.load(file).module()` is the network."""
    with quiet():
        torch.export.save(exported, file)


def write_onnx(exported: ExportedProgram, file: Path) -> None:
    """One ONNX file: images (batch, C, H, W) -> scores (batch, classes). Raises InputError without the extra."""
    refuse_without_onnx()
    with quiet():
        torch.onnx.export(
            exported,
            f=file,
            input_names=[IMAGES],
            output_names=[SCORES],
            dynamic_shapes=({0: Dim("batch")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    _forget_its_making(file)


def _forget_its_making(file: Path) -> None:
    """Removes what the exporter notes of each node: stack traces, which hold paths of this machine."""
    import onnx

    model = onnx.load(file)
    for message in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, model.graph):
        message.ClearField("metadata_props")
    onnx.save(model, file)


@contextmanager
def refused_of_guests(network: nn.Module, form: Format) -> Iterator[None]:
    """Inside, what an exporter raises of a module of another library becomes an InputError. Of a network of the
    grammar, which has every form, it would be a fault of ours."""
    try:
        yield
    except Exception as error:
        guest = described(network)
        if not isinstance(guest, Guest):
            raise
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise refuse(f"{guest.name} cannot be exported so: {first:.200}", file=f"--format {form}") from error


class _Images(nn.Module):
    """The network as a module whose argument is called `images`: that name is the program's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores."""
        scores: torch.Tensor = self.network(images)
        return scores


@contextmanager
def quiet() -> Iterator[None]:
    """A `with` block without warnings and log messages: exporters report what only they understand."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
