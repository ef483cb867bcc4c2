"""How fast averaging makes replicas equal: spectra of mixing matrices, D², random pairs, one-sided pulls, sequences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

D2_LIMIT = -1 / 3
"""D² is stable on W if and only if lambda_2 < 1 and lambda_min > -1/3 (Tang et al. 2018, arXiv:1803.07068)."""

CLOSE = 1e-3
EXACT = 1e-12
ROUNDED = 14  # digits to which eigenvalues are rounded, so that an eigenvalue 0 has factor 0

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """The effect of one doubly stochastic matrix W on replicas x [n, size] per round; J = 1 1^T / n.

    lambda_2, lambda_min: second largest and smallest eigenvalue, by the real part if W is not symmetric.
    sigma_2 = ||W - J||_2: a round multiplies ||x - J x|| by at most sigma_2. gap = 1 - lambda_2.
    """

    lambda_2: float
    lambda_min: float
    sigma_2: float

    @property
    def gap(self) -> float:
        return 1 - self.lambda_2

    @property
    def steps(self) -> float:
        """Rounds after which ||x - J x|| is below 1e-3 of its start; inf if it may never be."""
        if self.sigma_2 < EXACT:
            return 1
        return math.ceil(math.log(CLOSE) / math.log(self.sigma_2)) if self.sigma_2 < 1 - EXACT else math.inf


def spectrum(matrix: Matrix) -> Spectrum:
    """The Spectrum of a doubly stochastic matrix [n, n]. A single worker has no second eigenvalue: its values are 0."""
    n = len(matrix)
    if n == 1:
        return Spectrum(0.0, 0.0, 0.0)
    eigenvalues = _eigenvalues(matrix)
    distance = float(np.linalg.norm(matrix - 1 / n, 2))
    return Spectrum(lambda_2=float(eigenvalues[-2].real), lambda_min=float(eigenvalues[0].real), sigma_2=distance)


def d2_factor(eigenvalue: float) -> float:
    """The factor per step of one mode of D²: the larger root modulus of z^2 - 2 lambda z + lambda = 0.

    For 0 <= lambda < 1 it is sqrt(lambda), so D² agrees more slowly than D-PSGD. For lambda < 0 it is
    |lambda| + sqrt(lambda^2 + |lambda|), which is 1 at lambda = -1/3: the mode z = -1 never decays.
    Source:  derived here from x_{t+1} = W (2 x_t - x_{t-1}), D² (Tang et al. 2018) without gradients.
    """
    if eigenvalue >= 0:
        return math.sqrt(eigenvalue)
    return -eigenvalue + math.sqrt(eigenvalue**2 - eigenvalue)


def d2_contraction(matrix: Matrix) -> float:
    """The largest d2_factor of a symmetric [n, n] without the eigenvalue 1 of the mean: below 1 if D² is stable."""
    if (abs(matrix - matrix.T) > EXACT).any():
        raise ValueError("D² needs a symmetric mixing matrix")
    values = np.linalg.eigvalsh(matrix)[:-1].round(ROUNDED)
    return max(map(d2_factor, values.tolist()), default=0.0)


def lazy(matrix: Matrix) -> Matrix:
    """(1 + W) / 2, [n, n]. It has no eigenvalue below 0, so D² is stable; each round averages half as much."""
    return np.asarray((np.eye(len(matrix)) + matrix) / 2)


def random_pairs(n: int, edges: Sequence[tuple[int, int]]) -> float:
    """lambda_2 of 1 - L / (2 |E|): the factor of E||x - J x||^2 per event "a random edge averages its two ends".

    L is the Laplacian of the graph on n workers. Averaging a pair is a projection, so E W^T W = E W: the rate is exact.
    Source:  Boyd et al. 2006 (randomized gossip), from memory; derived here.
    Raises:  ValueError without edges.
    """
    if not edges:
        raise ValueError(f"{n} workers without an edge never average")
    laplacian = np.zeros((n, n))
    for i, j in edges:
        laplacian[[i, j], [i, j]] += 1
        laplacian[[i, j], [j, i]] -= 1
    return float(np.linalg.eigvalsh(np.eye(n) - laplacian / (2 * len(edges)))[-2])


def one_sided_pull(n: int) -> float:
    """E||w - 1/n||^2 = (n - 1) / (n (n + 1)): how far random one-sided pulls x_i <- (x_i + x_j) / 2 move the mean.

    The replicas agree on w^T x_0 instead of the mean. The square root of this value is the error in standard deviations
    of iid replicas. Derived here: a pull changes ||w||^2 by -w_i^2 / 2 + w_i w_j on average, so in the steady state
    E w_i^2 = 2 E w_i w_j, and sum w = 1 gives E w_i^2 = 2 / (n (n + 1)). Assumes random pairs, equal speeds and no
    gradients.
    """
    return (n - 1) / (n * (n + 1))


def sequence_error(rounds: Iterable[Matrix]) -> float:
    """||W_T ... W_1 - J||_F of one period: 0 for the sequences that average exactly."""
    first, *rest = rounds
    product = first
    for matrix in rest:
        product = matrix @ product
    return float(np.linalg.norm(product - 1 / len(product)))


def _eigenvalues(matrix: Matrix) -> NDArray[np.complex128]:
    """All eigenvalues, by rising real part."""
    is_symmetric = not (abs(matrix - matrix.T) > EXACT).any()
    values = np.linalg.eigvalsh(matrix) if is_symmetric else np.linalg.eigvals(matrix)
    return np.asarray(values[np.argsort(values.real)], dtype=np.complex128)
