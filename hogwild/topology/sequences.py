"""Sequences of sparse rounds. Each round has few peers; the product of a period is often exactly J = 1 1^T / n.

A base-(k+1) sequence is exact for every n, with at most k peers per worker and round. It is built from these parts:

hyper-hypercube   n = n_1 ... n_L, all n_l <= k + 1. Write a worker's number in the mixed radix n_1, ..., n_L. Round l
                  averages every group of workers that differ in digit l alone. L rounds.

simple            n = sum_l a_l (k+1)^p_l, p_1 > p_2 > ...: one block per digit, block l made of a_l equal cells.
                  1. Every block averages within itself, by hyper-hypercubes, all at the same time.
                  2. In the round after block 1 is done, each worker v outside block 1 averages with one worker u in
                     each cell of block 1, with weight |block 1| / (a_1 n); every v has its own u. Then the mean over
                     the workers outside block 1 is the mean of all, and so is the mean over each cell, because each v
                     gave the same to every cell: p_1 rounds of hyper-hypercube inside each cell finish block 1.
                  3. The workers outside block 1 are the same problem for the remaining digits, one round later. They
                     finish no later than block 1, since p_2 + 1 <= p_1.

base-(k+1)        n = p q, q without a factor <= k + 1: p simple sequences of q workers at the same time, then one
                  hyper-hypercube across them; or the simple one of n if that is shorter.

Source:  Takezawa et al. 2023, "Beyond Exponential Graph" (arXiv:2305.11420), algorithms 1 to 3, from memory.
Deviates: workers of a block that have no peer in a round stay idle.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hogwild.topology.graphs import check_power_of_two, hops
from hogwild.topology.matrices import Matrix

RANDOM_ROUNDS = 32  # enough for the pairs of all rounds to join any number of workers

Rounds = list[Matrix]
"""Each [n, n], in the order in which they are applied."""


def one_peer_exponential(n: int) -> Rounds:
    """Round t: send half to i + 2^t. Directed; the product is J if n is a power of two (Ying et al. 2021)."""
    identity = np.eye(n)
    return [(identity + np.roll(identity, hop, axis=0)) / 2 for hop in hops(n)] or [identity]


def one_peer_hypercube(n: int) -> Rounds:
    """Round t: average with i xor 2^t. Symmetric pairs; the product is J."""
    check_power_of_two("one-peer-hypercube", n)
    identity = np.eye(n)
    return [(identity + identity[np.arange(n) ^ hop]) / 2 for hop in hops(n)] or [identity]


def random_pairs(n: int) -> Rounds:
    """RANDOM_ROUNDS rounds of pairs by permutations that depend on n alone; the last worker of an odd n is idle."""
    draws = np.random.default_rng(n)
    rounds: Rounds = []
    for _ in range(RANDOM_ROUNDS if n > 2 else 1):
        order, matrix = draws.permutation(n), np.eye(n)
        for i, j in order[: n // 2 * 2].reshape(-1, 2):
            matrix[i, i] = matrix[j, j] = matrix[i, j] = matrix[j, i] = 0.5
        rounds.append(matrix)
    return rounds


def base(n: int, k: int) -> Rounds:
    """The base-(k+1) sequence: symmetric, doubly stochastic, at most k peers per worker and round; the product is J."""
    p = max(d for d in range(1, n + 1) if n % d == 0 and factors(d, k + 1) is not None)
    q = n // p
    split: Rounds = [_kron(np.eye(p), matrix) for matrix in simple(q, k)]
    split += [_kron(matrix, np.eye(q)) for matrix in hyper_hypercube(p, k)]
    return min(split, simple(n, k), key=len) or [np.eye(n)]


def simple(n: int, k: int) -> Rounds:
    """The simple base-(k+1) sequence of the module docstring."""
    if factors(n, k + 1) is not None:
        return hyper_hypercube(n, k)
    blocks = _blocks(n, k + 1)
    first = hyper_hypercube(blocks[0].size, k)
    rounds = [np.eye(n) for _ in range(len(first) + 1 + len(hyper_hypercube(blocks[0].shape[1], k)))]
    for number, block in enumerate(blocks):
        _place(rounds, 0, block.ravel(), k)
        behind = np.arange(block.max() + 1, n)
        if not behind.size:
            break
        meeting = rounds[len(first) + number]
        weight = block.shape[1] / (n - block.min())
        for cell in block:
            met = cell[: behind.size]
            meeting[behind, met] = meeting[met, behind] = weight
            meeting[behind, behind] -= weight
            meeting[met, met] -= weight
            _place(rounds, len(first) + number + 1, cell, k)
    return rounds


def hyper_hypercube(n: int, k: int) -> Rounds:
    """One round per factor of n; none for n = 1. ValueError if n has a prime factor above k + 1."""
    radix = factors(n, k + 1)
    if radix is None:
        raise ValueError(f"{n} has a prime factor above {k + 1}")
    rounds: Rounds = []
    below = 1
    for size in radix:
        group = _kron(np.full((size, size), 1 / size), np.eye(below))
        below *= size
        rounds.append(_kron(np.eye(n // below), group))
    return rounds


@cache
def factors(n: int, largest: int) -> tuple[int, ...] | None:
    """The shortest list of factors <= largest with product n; None if there is none."""
    if n == 1:
        return ()
    found = ((d, factors(n // d, largest)) for d in range(min(largest, n), 1, -1) if n % d == 0)
    return min(((d, *rest) for d, rest in found if rest is not None), key=len, default=None)


def _blocks(n: int, radix: int) -> list[NDArray[np.int_]]:
    """The workers 0 ... n - 1 in blocks, one per digit of n, highest first: [a, radix^p] for digit a > 0 of place p."""
    cell = radix ** max(p for p in range(n.bit_length()) if radix**p <= n)
    blocks, start = [], 0
    while start < n:
        digit = (n - start) // cell
        if digit:
            blocks.append(np.arange(start, start + digit * cell).reshape(digit, cell))
        start += digit * cell
        cell //= radix
    return blocks


def _place(rounds: Rounds, start: int, workers: NDArray[np.int_], k: int) -> None:
    """Write the hyper-hypercube of these workers into `rounds`, from round `start` on."""
    for matrix, piece in zip(rounds[start:], hyper_hypercube(workers.size, k), strict=False):
        matrix[np.ix_(workers, workers)] = piece


def _kron(left: Matrix, right: Matrix) -> Matrix:
    return np.asarray(np.kron(left, right), dtype=np.float64)
