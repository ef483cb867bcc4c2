"""The oracle of the 8-bit wire between boxes, named as in hogwild.kernels.wire. Mutates its arrays [n]."""

from __future__ import annotations

import numpy as np

from hogwild.reference.arrays import Array

BLOCK = 1024
LEVELS = 127


def encode(x: Array, own: Array) -> tuple[Array, Array]:
    """q = rint((x - own) 127 / m) with m the largest |x - own| of each block;  own <- own + q m / 127

    Returns the codes q [n], before they are rounded, and the scales m / 127 [blocks].
    """
    exact, scales = np.zeros_like(x), np.zeros(-(-len(x) // BLOCK))
    for block in range(len(scales)):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        d = x[here] - own[here]
        scales[block] = np.abs(d).max() / LEVELS
        if scales[block]:
            exact[here] = d / scales[block]
        own[here] += np.rint(exact[here]) * scales[block]
    return exact, scales


def decode(codes: Array, scales: Array, own: Array, peer: Array, flux: Array) -> None:
    """peer <- peer + q m / 127;  flux <- (peer - own) / 2"""
    peer += codes * np.repeat(scales, BLOCK)[: len(peer)]
    flux[:] = (peer - own) / 2
