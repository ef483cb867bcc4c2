"""`python -m hogwild COMMAND`: the command line, also where the script `hogwild` is not on PATH."""

import sys

from hogwild.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
