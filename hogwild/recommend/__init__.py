"""Which method to try first in a situation, from measured rows alone. Needs neither torch nor numpy."""
