"""`archsearch profile`: what a network costs, and where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from archsearch.api.showing.printing import deliver, print_json, short, table, tell
from archsearch.cli.dispatch import DONE, FAILED
from archsearch.cli.options import Json, Network
from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from archsearch.architecture.cost import Cost
    from archsearch.guests.either import Described

LARGEST_SIDE = 65_536  # of an image, in pixels


def profile(
    arch: Network,
    *,
    image: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Input shape, such as 3x32x32. Default: the network's own."),
    ] = None,
    counter: Annotated[
        Literal["analytic", "fvcore"],
        typer.Option(
            help="analytic: count from the architecture; fvcore: build the network and "
            "trace it (exit code 1 if the two differ)."
        ),
    ] = "analytic",
    depth: Annotated[Literal["stage", "layer"], typer.Option(help="Rows of the table: stages or layers.")] = ("stage"),
    drawing: Annotated[
        Path | None, typer.Option("--draw", metavar="FILE.svg", help="Draw the network as an SVG file.")
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Batch size of the training step whose memory is estimated.")
    ] = (128),
    latency: Annotated[
        bool, typer.Option("--latency", help="Build the network and measure its latency on this machine.")
    ] = False,
    latency_batch: Annotated[int, typer.Option(min=1, max=1_000_000, help="Batch size for --latency.")] = 1,
    as_json: Json = False,
) -> int:
    """Counts parameters, FLOPs and activations of a network for one image in eval mode, and the memory of training it.

    One multiply-add is one FLOP. flops is fvcore's total, norms and pooling included; macs counts convolutions and
    linear layers alone, the figure that papers quote; activations are the outputs of those layers. memory is an
    estimate: peak bytes of a training step of --batch images with SGD in float32, without the data set. A network of
    torchvision or timm is built and counted by fvcore; its macs include products of matrices, as in attention.
    """
    from archsearch.api.networks import network_of, profiled
    from archsearch.guests.either import cost, parsed

    network = network_of(arch)
    if image is not None:
        network = parsed({**network.to_dict(), "input": list(_shape(image))})
    document = profiled(network, counter=counter, batch=batch, name=arch)
    if drawing is not None:
        _draw(network, drawing)
        document["drawing"] = str(drawing)
    if latency:
        from archsearch.training.measuring.latency import measure

        measured = measure(network, batch=latency_batch)
        document["latency"] = measured.to_dict()
    if as_json:
        print_json(document)
    else:
        _print_table(network, document, depth)
        if latency:
            print(f"latency: {measured}")
    exact = cost(network)
    analytic = {**exact.to_dict(), "by_operator": exact.by_operator()}
    counted = {name: document[name] for name in analytic}
    if counted != analytic:
        tell(f"archsearch: fvcore counts {counted}, archsearch {analytic}")
        return FAILED
    return DONE


def _draw(network: Described, file: Path) -> None:
    from archsearch.analysis.drawing import draw
    from archsearch.architecture.spec import Architecture

    if not isinstance(network, Architecture):
        raise refuse(f"{network.name} is a guest: only networks of archsearch are drawn", file="--draw")
    if file.suffix.lower() != ".svg":
        raise refuse(f"the file {str(file)!r:.200}", allowed="a name that ends in .svg", file="--draw")
    try:
        deliver(draw(network), file)
    except OSError as error:
        allowed = "a file in a folder that exists and can be written"
        raise refuse(f"{str(file)!r:.200}: {error.strerror}", allowed=allowed, file="--draw") from None


def _print_table(network: Described, document: dict[str, Any], depth: str) -> None:
    from archsearch.architecture.cost import Shape
    from archsearch.guests.either import cost, origin, parts

    rows = [_row(*part) for part in parts(network, layers=depth == "layer")]
    head = (depth, "output", "params", "FLOPs", "MACs", "activations")
    sums = _row("total", "", cost(network))
    print(table(head, [*rows, sums], flush_left=(0, 1)))
    x = Shape(*network.input)
    print(f"\n{document['name']}, digest {document['digest']}, input {x}, {network.classes} classes")
    if guest := origin(network):
        print(guest)
    shares = (f"{name} {count:,}" for name, count in document["by_operator"].items())
    print(f"FLOPs by operator ({document['counter']}): {', '.join(shares)}")
    print(f"training memory: {short(document['memory'])}B (estimate for batch {document['batch']}, SGD, float32)")


def _row(path: str, output: str, counted: Cost) -> tuple[str, ...]:
    counts = (counted.params, counted.flops, counted.macs, counted.activations)
    return (path, output, *(f"{count:,}" for count in counts))


def _shape(text: str) -> tuple[int, int, int]:
    """(channels, height, width) of a text such as 3x32x32. Raises InputError."""
    if re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}x[1-9]\d{0,4}", text):
        channels, height, width = (int(number) for number in text.split("x"))
        if max(height, width) <= LARGEST_SIDE:
            return channels, height, width
    raise refuse(f"the shape {text!r:.40}", allowed="CHANNELSxHEIGHTxWIDTH, such as 3x32x32", file="--input")
