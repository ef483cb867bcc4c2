"""The control block (csrc/control.h): version counter, tickets, gate, barrier, per-worker statistics, and locks."""

from __future__ import annotations

from hogwild._C import LOCK_BYTES, STRIPE, Control, Phase

__all__ = ["LOCK_BYTES", "STRIPE", "Control", "Phase"]
