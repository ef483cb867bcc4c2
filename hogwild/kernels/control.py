"""The control block (csrc/control.h): version counter, tickets, gate, barrier, per-worker statistics, and locks."""

from __future__ import annotations

from hogwild._C import LEAST_GAP, LOCK_BYTES, STRIPE, Control, Phase

__all__ = ["LEAST_GAP", "LOCK_BYTES", "STRIPE", "Control", "Phase"]
