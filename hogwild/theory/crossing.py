"""The smallest gain at which a root of (1 - u) Q(u) + k B(u) reaches the unit circle; no root is missed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hogwild.theory.loop import Polynomial

POINTS_PER_WAVE = 64
HALVINGS = 55
SMALLEST_FEEDBACK = 1e-9
NEAR_PI = 1e-6  # distance from pi at which Re w / cos(th/2) still has nine good digits

Angles = NDArray[np.float64]


def first_crossing(memory: Polynomial, feedback: Polynomial) -> float:
    """The smallest k > 0 for which P = (1 - u) Q + k B has a root on |u| = 1; inf if there is none.

    Put u = exp(-i th), so that 1 - u = 2i sin(th/2) exp(-i th/2), and w = exp(-i th/2) Q conj(B). Then P = 0 exactly if

        Re w(th) = 0   and   k = 2 sin(th/2) Im w / |B|^2.

    The first condition does not contain k: all its solutions in (0, pi] are found, and the smallest positive k wins.
    th = pi is always a solution. The others are sign changes of Re w / cos(th/2), a trigonometric polynomial of known
    degree, which is sampled POINTS_PER_WAVE times per wave of that degree. Two zeros inside one step make a dip between
    samples; the parabola through the samples finds it. For k below the result the number of roots inside the circle
    cannot have changed. Derived here.
    """
    size = 1 << (POINTS_PER_WAVE * (len(memory) + len(feedback))).bit_length()
    grid = np.linspace(0.0, math.pi, size // 2 + 1)
    waves = _waves(grid[:-1], np.fft.rfft(memory, size)[:-1], np.fft.rfft(feedback, size)[:-1])
    grid[-1] -= NEAR_PI
    crossed = np.append(waves.real / np.cos(grid[:-1] / 2), _crossed(grid[-1:], memory, feedback))
    lower, upper = _brackets(grid, crossed, memory, feedback)
    at = np.append(_bisect(lower, upper, memory, feedback), math.pi)
    q, b = _values(memory, at), _values(feedback, at)
    is_finite = np.abs(b) > SMALLEST_FEEDBACK * np.abs(feedback).sum()  # where B = 0, Re w = 0 too, and k is infinite
    k = (2 * np.sin(at / 2) * _waves(at, q, b).imag)[is_finite] / np.abs(b[is_finite]) ** 2
    return float(min(k[k > 0], default=math.inf))


def _waves(at: Angles, q: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return np.asarray(np.exp(-0.5j * at) * q * b.conj())


def _values(coefficients: Polynomial, at: Angles) -> NDArray[np.complex128]:
    """The polynomial at u = exp(-i th). Only its nonzero coefficients, which are few, are summed."""
    (powers,) = np.nonzero(coefficients)
    return np.asarray(np.exp(-1j * np.outer(at, powers)) @ coefficients[powers])


def _crossed(at: Angles, memory: Polynomial, feedback: Polynomial) -> Angles:
    return _waves(at, _values(memory, at), _values(feedback, at)).real / np.cos(at / 2)


def _brackets(grid: Angles, crossed: Angles, memory: Polynomial, feedback: Polynomial) -> tuple[Angles, Angles]:
    """The steps of the grid in which the sign changes once, and both halves of those in which it changes twice."""
    left, here, right = crossed[:-2], crossed[1:-1], crossed[2:]
    is_dip = (left * here > 0) & (here * right > 0) & (abs(here) <= abs(left)) & (abs(here) <= abs(right))
    (dips,) = np.nonzero(is_dip & (left - 2 * here + right != 0.0))
    bend = left[dips] - 2 * here[dips] + right[dips]
    bottom = grid[dips + 1] + 0.5 * (left[dips] - right[dips]) / bend * (grid[1] - grid[0])
    is_below = _crossed(bottom, memory, feedback) * here[dips] < 0
    twice, bottom = dips[is_below], bottom[is_below]
    (once,) = np.nonzero(crossed[:-1] * crossed[1:] <= 0)
    lower = np.concatenate([grid[once], grid[twice], bottom])
    return lower, np.concatenate([grid[once + 1], bottom, grid[twice + 2]])


def _bisect(lower: Angles, upper: Angles, memory: Polynomial, feedback: Polynomial) -> Angles:
    """The places of all sign changes, by bisection of all intervals at once."""
    start = np.sign(_crossed(lower, memory, feedback))
    for _ in range(HALVINGS):
        middle = (lower + upper) / 2
        is_same = np.sign(_crossed(middle, memory, feedback)) == start
        lower, upper = np.where(is_same, middle, lower), np.where(is_same, upper, middle)
    return (lower + upper) / 2
