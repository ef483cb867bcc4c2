"""How fast averaging makes replicas equal: spectra of mixing matrices, D², random pairs, one-sided pulls, sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

D2_LIMIT = -1 / 3
"""D² is stable on W if and only if lambda_2 < 1 and lambda_min > -1/3 (Tang et al. 2018, arXiv:1803.07068)."""

CLOSE = 1e-3
EXACT = 1e-12
ROUNDED = 14  # digits to which eigenvalues are rounded, so that an eigenvalue 0 has factor 0
ITERATIONS = 20_000
RESIDUAL = 1e-9  # the error of an eigenvalue is smaller still, of the order of its square

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
    """The long-run factor of E||x - J x||^2 per event "a random edge averages its two ends", every edge equally likely.

        X = E[(x - J x) (x - J x)^T]  [n, n];   one event:  X <- E[W X W] = (1 / |E|) sum_ij W_ij X W_ij
        W_ij = 1 - d d^T / 2,  d = e_i - e_j;   the factor is the largest eigenvalue of this map off the mean (X 1 = 0)

    A single event may contract less, by as little as lambda_2 of 1 - L / (2 |E|) with the Laplacian L, from the worst
    start; on a complete graph the two are equal, 1 - 1 / (n - 1). An iteration costs O(n^2): the map is applied edge by
    edge and never written out as a matrix [n^2, n^2].
    Source:  Boyd et al. 2006 (randomized gossip), from memory, for E[W^T W]; the second moment is derived here.
    Raises:  ValueError without edges.
    """
    if not edges:
        raise ValueError(f"{n} workers without an edge never average")
    i, j = np.array(edges).T

    def event(second: Matrix) -> Matrix:
        """E[W X W]:  X - (L X + X L) / (2 |E|) + sum_d d (d^T X d) d^T / (4 |E|)."""
        squares = second[i, i] + second[j, j] - second[i, j] - second[j, i]
        pulled = _laplacian(n, i, j, np.ones(len(i))) @ second
        after: Matrix = second - (pulled + pulled.T) / (2 * len(i)) + _laplacian(n, i, j, squares) / (4 * len(i))
        return after

    return _largest_eigenvalue(event, np.eye(n) - 1 / n)


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


def _laplacian(n: int, i: NDArray[np.int64], j: NDArray[np.int64], weights: NDArray[np.float64]) -> Matrix:
    """sum_e weight_e (e_i - e_j) (e_i - e_j)^T, [n, n]."""
    result = np.zeros((n, n))
    for row, column, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
        np.add.at(result, (row, column), sign * weights)
    return result


def _largest_eigenvalue(apply: Callable[[Matrix], Matrix], start: Matrix) -> float:
    """The largest eigenvalue of a symmetric linear map of matrices, by power iteration with conjugate directions.

    Every iteration takes the best combination of the iterate, its residual and the last direction (LOBPCG, Knyazev
    2001, with one vector). `start` must have a part along the eigenvector. Raises ArithmeticError if it does not
    converge.
    """
    now, direction = start / np.linalg.norm(start), np.zeros_like(start)
    for _ in range(ITERATIONS):
        image = apply(now)
        value = float(np.sum(now * image))
        residual = image - value * now
        if np.linalg.norm(residual) < RESIDUAL:
            return value
        basis = [now]
        for vector in (residual, direction):
            for _ in range(2):  # twice is enough to be orthogonal in floating point
                vector = vector - sum(np.sum(vector * other) * other for other in basis)
            if (size := np.linalg.norm(vector)) > 0:
                basis.append(vector / size)
        images = [image, *map(apply, basis[1:])]
        weights = np.linalg.eigh([[np.sum(a * b) for b in images] for a in basis])[1][:, -1]
        direction = np.asarray(sum(w * a for w, a in zip(weights[1:], basis[1:], strict=True)))
        now = weights[0] * now + direction
        now = now / np.linalg.norm(now)
    raise ArithmeticError(f"no eigenvalue to {RESIDUAL:g} within {ITERATIONS} iterations")


def continuous_momentum(edges: Sequence[tuple[int, int]], n: int) -> tuple[float, float]:
    """(eta, beta) of A2CiD2 (arXiv:2306.08289) for `n` workers that average along edges drawn at random.

    Every worker draws one of its edges in a unit of time. With the Laplacian L of those rates, chi1 = 1 / lambda_2(L)
    and chi2 half the largest resistance of an edge: eta = 1 / (2 sqrt(chi1 chi2)), beta = sqrt(chi1 / chi2) / 2.
    """
    degree, laplacian = np.bincount(np.ravel(edges), minlength=n), np.zeros((n, n))
    for i, j in edges:
        rate = (1 / degree[i] + 1 / degree[j]) / 2
        laplacian[[i, j], [i, j]] += rate
        laplacian[[i, j], [j, i]] -= rate
    inverse = np.linalg.pinv(laplacian, hermitian=True)
    slowest = 1 / float(np.linalg.eigvalsh(laplacian)[1])
    resistance = max(inverse[i, i] + inverse[j, j] - 2 * inverse[i, j] for i, j in edges) / 2
    return 1 / (2 * math.sqrt(slowest * resistance)), math.sqrt(slowest / resistance) / 2
