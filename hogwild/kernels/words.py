"""Words of shared memory by which processes hand data over: what was written before a store is seen after its load."""

from __future__ import annotations

from hogwild._C import load_word, store_word

__all__ = ["load_word", "store_word"]
