"""Makes a checked Mixing from the name of a topology, and a fixed symmetric mixing on which D² is stable."""

from __future__ import annotations

import re

import numpy as np

from hogwild.errors import UsageError
from hogwild.options import unknown
from hogwild.text import quoted
from hogwild.theory.mixing import D2_LIMIT, lazy, spectrum
from hogwild.topology import LARGEST, SPECS, WEIGHTS, sequences
from hogwild.topology.files import read
from hogwild.topology.graphs import GRAPHS, Links, torus
from hogwild.topology.matrices import Matrix, Mixing

D2_MARGIN = 0.01  # a ring may have exactly -1/3, and rounding then decides on which side it falls


def build(name: str, n: int, weights: str, self_weight: float | None) -> Mixing:
    """The checked Mixing of hogwild.topology.mixing, with the same errors."""
    if not 1 <= n <= LARGEST:
        raise UsageError(f"topology {quoted(name)} for {n:,} workers: at least 1 is needed, at most {LARGEST:,}")
    if weights not in WEIGHTS:
        raise unknown("weights", weights, WEIGHTS)
    if self_weight is not None and not (0 <= self_weight < 1 and weights != "out"):
        raise UsageError(f"self-weight {self_weight:g} with weights {weights}: it must be in [0, 1) and not with out")
    found = _fixed(name, n)
    if isinstance(found, list):
        if weights not in ("uniform", "out") or self_weight is not None:
            raise UsageError(f"topology {name} has weights of its own: leave weights and self-weight out")
        return Mixing(name, tuple(found), is_push=weights == "out")
    return Mixing(name, (_weighted(found, weights, self_weight),), is_push=weights == "out")


def d2_safe(mixing: Mixing) -> tuple[float, Mixing]:
    """lambda_min of a fixed symmetric mixing, and a mixing on which D² is stable: the same, or its lazy form.

    D² multiplies the mode of an eigenvalue lambda < 0 by |lambda| + sqrt(lambda^2 + |lambda|) per step, which is 1 at
    lambda = -1/3 (hogwild/theory/mixing.py). From -1/3 + D2_MARGIN down, (1 + W) / 2 is returned; its name says so.

    Raises:  UsageError for a mixing that changes from round to round or is not symmetric: D² is not defined on it.
    """
    if len(mixing.rounds) > 1 or not mixing.symmetric:
        what = "changes from round to round" if len(mixing.rounds) > 1 else "is not symmetric"
        raise UsageError(f"D² needs one symmetric mixing matrix and {mixing.name} {what}: use ring or complete")
    lowest = spectrum(mixing.rounds[0]).lambda_min
    if lowest > D2_LIMIT + D2_MARGIN:
        return lowest, mixing
    return lowest, Mixing(f"lazy {mixing.name}", (lazy(mixing.rounds[0]),))


def _fixed(name: str, n: int) -> Links | list[Matrix]:
    """The links of a fixed topology, or the rounds of a topology with its own weights."""
    if name in GRAPHS:
        return GRAPHS[name](n)
    if name.startswith("file:"):
        return read(name.removeprefix("file:"), n)
    if grid := re.fullmatch(r"torus:(\d{1,9})x(\d{1,9})", name):
        return torus(n, (int(grid[1]), int(grid[2])))
    if radix := re.fullmatch(r"base-(\d{1,9})", name):
        if int(radix[1]) < 2:
            raise UsageError(f"topology {name}: the base is at least 2, for one peer per round")
        return sequences.base(n, int(radix[1]) - 1)
    if name == "one-peer-exponential":
        return sequences.one_peer_exponential(n)
    if name == "one-peer-hypercube":
        return sequences.one_peer_hypercube(n)
    if name == "random-pairs":
        return sequences.random_pairs(n)
    raise UsageError(f"topology {quoted(name)} is not known; it must be one of {SPECS}")


def _weighted(links: Links, weights: str, self_weight: float | None) -> Matrix:
    """[n, n] with the weights that hogwild.topology.mixing lists."""
    degree = links.sum(axis=1)
    if weights == "out":
        return _with_diagonal(links / (1 + links.sum(axis=0)))
    pairs = np.maximum(degree[:, None], degree) if weights == "metropolis" else degree.max()
    mixed = _with_diagonal(links / (1 + pairs))
    lowest = mixed.diagonal().min()
    share = 0.5 if weights == "lazy" else 1.0
    if self_weight is not None and lowest < 1:
        share = (1 - self_weight) / (1 - lowest)
    return _with_diagonal(share * mixed)


def _with_diagonal(matrix: Matrix) -> Matrix:
    """The matrix with a diagonal that makes every column sum to 1."""
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=0))
    return matrix
