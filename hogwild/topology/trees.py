"""Trees of workers, along whose edges messages are relayed."""

from __future__ import annotations

TREES = {"chain": 2, "binary": 3}
"""Name of a tree -> the largest number of neighbours of a node."""


def links(tree: str, index: int, n: int) -> list[tuple[int, int]]:
    """(neighbour, the position that this node has among the neighbour's own) of node `index` of n, in order."""
    return [(j, neighbours(tree, j, n).index(index)) for j in neighbours(tree, index, n)]


def neighbours(tree: str, index: int, n: int) -> list[int]:
    """The neighbours of node `index` of n, in order."""
    if tree == "chain":
        return [j for j in (index - 1, index + 1) if 0 <= j < n]
    parent = [(index - 1) // 2] if index else []
    return parent + [j for j in (2 * index + 1, 2 * index + 2) if j < n]
