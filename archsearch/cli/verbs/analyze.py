"""`archsearch analyze`: what the parts of a trained network do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from archsearch.api.showing.printing import print_json, stdout_to_stderr, tell
from archsearch.cli.options import AllowSource, Json, Set, TrackingUri


def analyze(
    kind: Annotated[
        Literal["lesion", "paths", "landscape", "depth"],
        typer.Argument(
            metavar="KIND",
            help="lesion: blocks deleted and reordered, and those that can go; paths: how many and how long, and how "
            "much gradient comes along them; landscape: the loss around the weights; depth: the time that "
            "stochastic depth saves.",
        ),
    ],
    subject: Annotated[
        str,
        typer.Argument(
            metavar="ARCH|EXPERIMENT",
            help="A network (a name from `archsearch zoo`, or a YAML file) with --weights and --data; or an "
            "experiment, whose best network is taken with its own images.",
        ),
    ],
    *,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The network's weights: .safetensors from `train`, or .pth from torchvision or timm."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data set of a network: digits, cifar10, fashion_mnist, folder (with --root) and so on."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the data, or of an experiment's, if it was moved.")
    ] = None,
    split: Annotated[
        Literal["validation", "test"], typer.Option(help="The images by which the network is looked at.")
    ] = "validation",
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many. Default: 1000 for lesion, 64 for paths, 256 (of training) for landscape; for depth in a "
            "training step.",
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Random sets of blocks, or random paths, of each size. Default: 10. Depth: rounds of timed steps, 20.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed of the images and the draws.")] = 0,
    max_loss: Annotated[
        float,
        typer.Option(min=0, metavar="POINTS", help="Error, or percent of the loss, that blocks which can go may cost."),
    ] = 1.0,
    points: Annotated[
        int, typer.Option(min=3, max=501, help="Points of a landscape along each of its two directions, an odd number.")
    ] = 15,
    survival: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Survival probability of the last block for depth. Default: the network's own schedule, or 0.5.",
        ),
    ] = None,
    sets: Set = None,
    allow_source: AllowSource = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE.html", help="The page. Default: NETWORK-KIND.html, or in the experiment."
        ),
    ] = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Shows what the parts of a trained network do, as one HTML page: experiments of Veit et al. 2016, Li et al. 2018,
    Huang et al. 2016.

    lesion also writes the network without the blocks that can go, as a config and weights beside the page. After
    Ctrl-C the same command goes on with a landscape's points.
    """
    from archsearch.api.analyzing import FRESH, analysis, write_analysis
    from archsearch.api.showing.predictions import counting
    from archsearch.api.trained_networks import subject_of
    from archsearch.sources.own import allow
    from archsearch.space.overrides import read_train_settings
    from archsearch.tracking import refuse_unusable_store

    refuse_unusable_store(tracking_uri)
    allow(allow_source or ())
    settings = None
    if data is not None:
        options = {"data.name": ("--data", data), "data.root": ("--root", None if root is None else str(root))}
        settings = read_train_settings(options, sets or [])
    with stdout_to_stderr():
        found = subject_of(subject, settings, weights, root, split, tell, fresh=kind in FRESH)
        page = output or found.page(kind)
        with counting("steps") as on_progress:
            result = analysis(
                kind,
                found,
                images=images,
                draws=draws,
                seed=seed,
                max_loss=max_loss,
                points=points,
                survival=survival,
                page=page,
                tell=tell,
                on_progress=on_progress,
            )
        files = write_analysis(result, found, page, tell, tracking_uri=tracking_uri)
    if as_json:
        print_json(result.figures)
        return
    for remark in result.figures["remarks"]:
        print(remark)
    print(f"written: {', '.join(map(str, files))}")
