"""`python -m hogwild.train`, the same as `hogwild train`."""

import sys

from hogwild.cli.train import main as main

if __name__ == "__main__":
    sys.exit(main())
