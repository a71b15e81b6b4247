"""`python -m archsearch` is `archsearch`."""

import sys

from archsearch.cli import main

if __name__ == "__main__":
    sys.exit(main())
