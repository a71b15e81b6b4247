"""`archsearch analyze`: what the parts of a trained network do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from archsearch.api.showing.printing import print_json, stdout_to_stderr, tell
from archsearch.cli.options import WEIGHTS, AllowSource, Json, Set, TrackingUri

if TYPE_CHECKING:
    from archsearch.api.analyzing import Analysis


# Options that only some kinds read, as the command line names them.
KINDS_OF = {
    "max_loss": ("lesion",),
    "draws": ("lesion", "paths", "depth"),
    "points": ("landscape",),
    "beside": ("landscape",),
    "survival": ("depth",),
    "split": ("lesion", "paths"),
    "tracking_uri": ("lesion", "paths", "landscape", "depth"),
    "depths": ("degradation",),
    "rows": ("degradation",),
    "seeds": ("degradation",),
    "epochs": ("degradation",),
}


def analyze(
    context: typer.Context,
    kind: Annotated[
        Literal["lesion", "paths", "landscape", "depth", "degradation"],
        typer.Argument(
            metavar="KIND",
            help="lesion: blocks deleted and reordered, and those that can go; paths: how many and how long, and how "
            "much gradient comes along them; landscape: the loss around the weights; depth: the time that "
            "stochastic depth saves; degradation: plain and residual networks of several depths, trained on --data.",
        ),
    ],
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[ARCH|EXPERIMENT]",
            help="A network (a name from `archsearch zoo`, torchvision:NAME, timm:NAME, or a YAML file) with --weights "
            "and --data; or an experiment, whose best network is taken with its own images. None for degradation.",
        ),
    ] = None,
    *,
    weights: Annotated[
        str | None, typer.Option(metavar="WEIGHTS", help=f"The network's trained weights: {WEIGHTS}.")
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
            help="How many. Default: 1000 for lesion, 64 for paths, of training images 256 for landscape and 1000 for "
            "degradation; for depth in a training step.",
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
    depths: Annotated[
        str, typer.Option(metavar="N,N", help="degradation: depths of the networks, 6n + 2 layers each.")
    ] = "20,56",
    rows: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="degradation: more networks of the greatest depth: shortcuts (options A, B, C), placements (of norm "
            "and activation), identities (alternatives to the identity shortcut); several with commas.",
        ),
    ] = "",
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="degradation: trainings of each network, with seeds from --seed on.")
    ] = 1,
    epochs: Annotated[
        int | None, typer.Option(help="degradation: epochs of each training. Sets training.epochs.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="A folder of `archsearch train`, whose network's landscape is drawn at the same scale; repeatable.",
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
    Huang et al. 2016, He et al. 2015.

    lesion also writes the network without the blocks that can go, as a config and weights beside the page. After
    Ctrl-C the same command goes on with a landscape's points, and with the trainings of degradation.
    """
    from archsearch.api.analyzing import FRESH, analysis, write_analysis
    from archsearch.api.degrading import Question, degradation_of
    from archsearch.api.driving import Audience
    from archsearch.api.showing.predictions import counting
    from archsearch.api.trained_networks import of_folder, subject_of
    from archsearch.reading.errors import refuse
    from archsearch.sources.own import allow
    from archsearch.space.overrides import read_train_settings
    from archsearch.tracking import refuse_unusable_store

    for name, kinds in KINDS_OF.items():
        source = context.get_parameter_source(name)
        if kind not in kinds and source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise refuse(f"{option} with {kind}", allowed=f"only with {' or '.join(kinds)}", file="archsearch analyze")
    refuse_unusable_store(tracking_uri)
    allow(allow_source or ())
    settings = None
    if data is not None:
        options = {
            "data.name": ("--data", data),
            "data.root": ("--root", None if root is None else str(root)),
            "training.epochs": ("--epochs", epochs),
        }
        settings = read_train_settings(options, sets or [])
    if kind == "degradation":
        if subject is not None or weights is not None or settings is None:
            raise refuse(
                "degradation without --data" if settings is None else "degradation of a network",
                allowed="--data alone: plain and residual networks are trained on it",
                hint="archsearch analyze degradation --data digits --depths 8,14",
                file="archsearch analyze",
            )
        page = output or Path(f"{settings.data.name}-degradation.html")
        question = Question.of(depths, rows, range(seed, seed + seeds), images)
        with stdout_to_stderr():
            result = degradation_of(settings, question, page, Audience())
        _show(result, result.write(page), as_json=as_json)
        return
    if subject is None:
        hint = f"archsearch analyze {kind} digits"
        raise refuse(f"{kind} of nothing", allowed="a network or an experiment", hint=hint, file="archsearch analyze")
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
                beside=[of_folder(folder, found, tell) for folder in beside or ()],
                page=page,
                tell=tell,
                on_progress=on_progress,
            )
        files = write_analysis(result, found, page, tell, tracking_uri=tracking_uri)
    _show(result, files, as_json=as_json)


def _show(result: Analysis, files: Sequence[Path], *, as_json: bool) -> None:
    if as_json:
        print_json(result.figures)
        return
    for remark in result.figures["remarks"]:
        print(remark)
    print(f"written: {', '.join(map(str, files))}")
