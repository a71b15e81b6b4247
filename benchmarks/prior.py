"""Makes archsearch/search/proposing/prior.json: what the tables of benchmarks/tabular teach of which network is better.

One weight for each feature of a network (archsearch/space/many/features.py), by ridge regression on the logarithm of
the mean validation error within each table. What that is worth on a table that it has not seen: regret_tables.py
--learn-from.

    python benchmarks/prior.py [--dry-run]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from regret_runs import Ground
from tabular.table import HERE, Table

from archsearch.search.proposing.experience import PRIOR, Source, weights


def source(ground: Ground) -> Source:
    """Every network of a table, with its mean accuracy."""
    return Source(name=ground.name, features=ground.field.features(ground.field.codes), scores=ground.truth)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="print it, and write nothing")
    asked = parser.parse_args()
    files = [file for file in sorted(HERE.glob("*.npz")) if "one-schedule" not in file.stem]
    sources = [source(Ground.of(Table.load(file))) for file in files]
    document = {
        "made by": "benchmarks/prior.py",
        "tables": {known.name: len(known.scores) for known in sources},
        "weights": weights(sources),
    }
    text = json.dumps(document, indent=1) + "\n"
    if asked.dry_run:
        print(text, end="")
    else:
        PRIOR.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
