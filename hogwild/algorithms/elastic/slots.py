"""Two slots for what workers send to barriers that they do not wait for: one is read while the other is written."""

from __future__ import annotations

from hogwild.algorithms.base import REPLICA, View

SENT = {"sent0": REPLICA, "sent1": REPLICA}


def slot_of_last(w: View) -> str:
    """Where the workers of the last barrier have put what they sent."""
    return f"sent{w.barriers % 2}"


def slot_of_next(w: View) -> str:
    """Where what is sent at the next barrier goes: what others still read is in the other one."""
    return f"sent{(w.barriers + 1) % 2}"
