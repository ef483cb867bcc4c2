"""A topology from a text file: an edge list, or a whole mixing matrix."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from hogwild.errors import UsageError
from hogwild.files.reading import read_text
from hogwild.text import quoted
from hogwild.topology.graphs import Links, joined
from hogwild.topology.matrices import Matrix

FILE_BYTES = 32 << 20  # a matrix of topology.LARGEST workers, 30 characters a number


def read(path: str, n: int) -> Links | list[Matrix]:
    """The links of an edge list, or a matrix as a sequence of one round.

    Numbers are separated by blanks or commas, `#` starts a comment. n lines of n numbers are a matrix; row i holds the
    weights that worker i applies. Lines of two integers are undirected edges between the workers 0 ... n - 1. For n = 2
    the edge list `0 1` has one line and the matrix two.

    Raises:  UsageError naming the file, the line and the fault.
    """
    lines = _numbers(path)
    widths = {len(numbers) for _, numbers in lines}
    if widths == {n} and len(lines) == n:
        return [np.array([numbers for _, numbers in lines])]
    if widths != {2}:
        raise UsageError(
            f"topology file {path}: neither an edge list (2 numbers a line) nor the {n} x {n} matrix of {n} workers; "
            f"it has {len(lines)} lines of {', '.join(map(str, sorted(widths))) or 'no'} numbers"
        )
    for number, (i, j) in lines:
        if i != int(i) or j != int(j) or not (0 <= i < n and 0 <= j < n) or i == j:
            raise UsageError(
                f"topology file {path}, line {number}: edge {i:g} {j:g} does not join two of the workers 0 to {n - 1}"
            )
    left, right = np.array([numbers for _, numbers in lines], dtype=int).T
    return joined(n, [(left, right)])


def _numbers(path: str) -> list[tuple[int, list[float]]]:
    """(line number, numbers on that line) of every line that is not empty."""
    text = read_text(Path(path), FILE_BYTES, error=UsageError, what=f"topology file {path}")
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].replace(",", " ").split()
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            raise UsageError(f"topology file {path}, line {number}: {quoted(line.strip())} is not numbers") from None
        if not all(map(math.isfinite, numbers)):
            raise UsageError(f"topology file {path}, line {number}: {quoted(line.strip())} is not finite")
        if numbers:
            lines.append((number, numbers))
    return lines
