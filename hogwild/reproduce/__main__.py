"""`python -m hogwild.reproduce`, the same as `hogwild reproduce`."""

import sys

from hogwild.cli import reproduce, shell

sys.exit(shell.run(reproduce.main))
