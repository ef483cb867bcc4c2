"""The fixed graphs: [n, n] booleans without a diagonal; links[i, j] says that worker i takes worker j's replica."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from hogwild.errors import UsageError

Links = NDArray[np.bool_]


def ring(n: int) -> Links:
    return circulant(n, (1, -1))


def exponential(n: int) -> Links:
    """i +- 2^k."""
    return circulant(n, [sign * hop for hop in hops(n) for sign in (1, -1)])


def exponential_directed(n: int) -> Links:
    """Worker i sends to i + 2^k, k < ceil(log2 n)."""
    return circulant(n, [-hop for hop in hops(n)])


def hypercube(n: int) -> Links:
    """Workers with numbers that differ in one bit are linked."""
    check_power_of_two("hypercube", n)
    i = np.arange(n)
    return joined(n, [(i, i ^ hop) for hop in hops(n)])


def complete(n: int) -> Links:
    return ~np.eye(n, dtype=bool)


def star(n: int) -> Links:
    """Everyone with worker 0."""
    return joined(n, [(np.arange(1, n), np.zeros(n - 1, dtype=int))])


def bipartite(n: int) -> Links:
    """Every even worker is linked with every odd one."""
    parity = np.arange(n) % 2
    return np.asarray(parity[:, None] != parity)


def bipartite_exponential(n: int) -> Links:
    """i +- 1 and i +- (1 + 2^k), k >= 1: odd hops only, so that an even n keeps the two sides apart.

    Source:  the ring with exponential skips of AD-PSGD (Lian et al. 2018, arXiv:1710.06952).
    Deviates: the hop 2 = 1 + 2^0, which would join workers of one side, is left out.
    """
    if n > 1 and n % 2:
        raise UsageError(f"topology bipartite-exponential has two equal sides, not {n} workers: use --workers {n + 1}")
    odd = [1, *(1 + hop for hop in hops(n)[1:] if 1 + hop < n)]
    return circulant(n, [sign * hop for hop in odd for sign in (1, -1)])


def torus(n: int, shape: tuple[int, int] | None = None) -> Links:
    """A grid of rows x columns, closed in both directions; the most square one if no shape is given."""
    rows, columns = shape or next((r, n // r) for r in range(math.isqrt(n), 0, -1) if n % r == 0)
    if rows * columns != n:
        raise UsageError(f"topology torus:{rows}x{columns} has {rows * columns} workers, not {n}")
    if rows == 1 and n > 3 and shape is None:
        raise UsageError(f"topology torus is a grid, and {n} workers form none: use --workers {n + 1} or ring")
    i = np.arange(n)
    row, column = np.divmod(i, columns)
    return joined(n, [(i, row * columns + (column + 1) % columns), (i, (row + 1) % rows * columns + column)])


GRAPHS: dict[str, Callable[[int], Links]] = {
    "ring": ring,
    "exponential": exponential,
    "exponential-directed": exponential_directed,
    "hypercube": hypercube,
    "complete": complete,
    "star": star,
    "bipartite": bipartite,
    "bipartite-exponential": bipartite_exponential,
    "torus": torus,
}


def hops(n: int) -> list[int]:
    """1, 2, 4, ... below n."""
    return [1 << k for k in range((n - 1).bit_length())]


def check_power_of_two(name: str, n: int) -> None:
    if n & (n - 1):
        lower = 1 << (n.bit_length() - 1)
        raise UsageError(
            f"topology {name} needs 2^k workers, not {n}: use --workers {lower} or {2 * lower}, or --topology base-2"
        )


def circulant(n: int, offsets: Iterable[int]) -> Links:
    """Worker i takes from i + offset, modulo n."""
    links = np.zeros((n, n), dtype=bool)
    i = np.arange(n)
    for offset in offsets:
        links[i, (i + offset) % n] = True
    np.fill_diagonal(links, False)
    return links


def joined(n: int, pairs: Iterable[tuple[NDArray[np.int_], NDArray[np.int_]]]) -> Links:
    """The links of these pairs, in both directions."""
    links = np.zeros((n, n), dtype=bool)
    for left, right in pairs:
        links[left, right] = links[right, left] = True
    np.fill_diagonal(links, False)
    return links
