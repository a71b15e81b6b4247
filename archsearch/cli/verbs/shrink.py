"""`archsearch shrink`: smaller networks of a trained one, within limits, and the best of them trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from archsearch.api.showing.printing import percent, print_json, scored, short, stdout_to_stderr, table
from archsearch.cli.dispatch import Failure
from archsearch.cli.options import WEIGHTS, AllowSource, Json, Network, Set
from archsearch.experiment.suggested import command


def shrink(
    arch: Network,
    *,
    weights: Annotated[str, typer.Option(metavar="WEIGHTS", help=f"The network's trained weights: {WEIGHTS}.")],
    data: Annotated[str, typer.Option(help="Data set: digits, cifar10, folder (with --root) and so on.")],
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the data.")] = None,
    flops: Annotated[str | None, typer.Option(metavar="N", help="Most FLOPs of a smaller network: 30M.")] = None,
    params: Annotated[str | None, typer.Option(metavar="N", help="Most parameters of a smaller network: 100k.")] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Most time altogether: 20m, 1h. Trainings then have fewer epochs."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of each network that is trained on. Default: 30.")
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=1, max=10_000, help="Slices of the network that are ranked without training.")
    ] = 60,
    finalists: Annotated[
        int, typer.Option(min=1, max=20, help="Ranges of cost, from each of which the best slice is trained on.")
    ] = 3,
    images: Annotated[int, typer.Option(min=1, help="Validation images, at most, by which slices are ranked.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed of the slices and trainings.")] = 0,
    sets: Set = None,
    allow_source: AllowSource = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Output folder. Default: shrunk/NETWORK-DATA.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Makes smaller networks of a trained one: fewer blocks, fewer channels, the weights that matter most.

    Slices within the limits are ranked on validation images without training; the best are trained with the network as
    teacher. Each has its config and weights in the folder. After Ctrl-C, the same command continues.
    """
    from archsearch.api.driving import Audience
    from archsearch.api.initial import counts_of
    from archsearch.api.shrinking import carried_out, fine_tuning, shrinking
    from archsearch.sources.own import allow

    allow(allow_source or ())
    given: dict[str, tuple[str, Any]] = {"data.name": ("--data", data)}
    given |= {} if root is None else {"data.root": ("--root", str(root))}
    given |= {} if epochs is None else {"training.epochs": ("--epochs", epochs)}
    settings = fine_tuning(given, sets or [])
    with stdout_to_stderr():
        from archsearch.training.loop import Diverged

        audience = Audience()
        try:
            job = shrinking(
                arch, settings, weights, counts_of(flops, params), time=time, candidates=candidates,
                finalists=finalists, images=images, seed=seed, folder=output, audience=audience,
            )  # fmt: skip
            result = carried_out(job, audience)
        except Diverged as error:
            raise Failure(str(error)) from error
    if as_json:
        print_json(result.document)
        return
    print(_page(result.document, result.front))
    largest = command("export", result.front[0]["folder"], "-o", "bundle")
    print(f"written to {result.folder}; export the largest: {largest}")


def _page(document: dict[str, Any], front: list[dict[str, Any]]) -> str:
    """The trained network and the front as a table, and how well the ranking without training did."""
    parent = document["asked"]["parent"]
    rows = [
        (parent["network"], short(parent["flops"]), short(parent["params"]), "-", scored(document["validation"]), "-")
    ]
    for one in front:
        before = percent(one["untrained"]) if "accuracy" in one["validation"] else f"{-one['untrained']:.3f}"
        counts = short(one["flops"]), short(one["params"])
        rows.append((one["digest"], *counts, before, scored(one["validation"]), scored(one["test"])))
    head = ("network", "FLOPs", "params", "untrained", "validation", "test")
    correlation = document["rank_correlation"]
    value = "-" if correlation["value"] is None else f"{correlation['value']:.2f}"
    ranked = f"{len(document['slices'])} slices ranked; rank correlation with the trained networks: {value}"
    return f"{table(head, rows)}\n{ranked} ({correlation['networks']} networks, {document['epochs']} epochs)"
