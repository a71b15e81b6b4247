"""`archsearch zoo`: the literature's networks."""

from __future__ import annotations

from typing import Any

from archsearch.api.showing.printing import print_json, short, table
from archsearch.cli.options import Json


def zoo(*, as_json: Json = False) -> None:
    """The literature's networks: their costs, published errors and sources.

    FLOPs and MACs are of one image. MACs are the multiply-adds of convolutions and linear layers, the figure
    that papers quote; flops (in --json of `profile`) is fvcore's total.
    """
    from archsearch.api.networks import zoo_table

    rows = zoo_table()
    if as_json:
        print_json(rows)
        return
    head = ("name", "family", "input", "params", "MACs", "error %", "source")
    print(table(head, [_row(row) for row in rows], flush_left=(0, 1, 6)))
    print("\nerror: top-1 on the data set's test split, as published by the source.")


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    error = row["published_error_percent"]
    return (
        row["name"],
        row["family"],
        "x".join(map(str, row["input"])),
        short(row["params"]),
        short(row["macs"]),
        "-" if error is None else f"{error:.2f}",
        row["source"],
    )
