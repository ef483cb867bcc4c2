"""`python -m hogwild.reproduce`, the same as `hogwild reproduce`."""

import sys

from hogwild.faces import reproduce, shell

sys.exit(shell.run(reproduce.main))
