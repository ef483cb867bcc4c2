"""The control block (csrc/control.h): version counter, tickets, gate, barrier, per-worker statistics."""

from __future__ import annotations

from hogwild._C import Control, Phase

__all__ = ["Control", "Phase"]
