"""`archsearch zoo`: the literature's networks."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from archsearch.api.showing.printing import print_json, short, table
from archsearch.cli.options import Flops, Json, Params


def zoo(
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Only networks with this in their name or family: resnet, densenet.")
    ] = "",
    *,
    flops: Flops = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Lists networks of the literature with their costs, published errors and sources, the best known first.

    FLOPs and MACs are of one image: FLOPs are fvcore's total (one multiply-add = 1, norms and pooling included),
    MACs the multiply-adds of convolutions and linear layers, the figure that papers quote.
    """
    from archsearch.api.initial import counts_of
    from archsearch.api.networks import zoo_table

    rows = zoo_table(text, **counts_of(flops, params))
    if as_json:
        print_json(rows)
        return
    head = ("name", "family", "input", "params", "FLOPs", "MACs", "error %", "protocol", "source")
    print(table(head, [_row(row) for row in rows], flush_left=(0, 1, 7, 8)))
    print(
        f"\n{len(rows)} networks. error %: top-1 on the data set's test split, as the source published it; "
        "errors of different protocols cannot be compared."
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    error = row["published_error_percent"]
    return (
        row["name"],
        row["family"],
        "x".join(map(str, row["input"])),
        short(row["params"]),
        short(row["flops"]),
        short(row["macs"]),
        "-" if error is None else f"{error:.2f}",
        row["protocol"] or "-",
        row["error_source"] or row["source"],
    )
