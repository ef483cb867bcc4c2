"""The fixed topologies, compared with their definitions as loops, and their weights."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.topology import FIXED, NAMES, WEIGHTS, mixing

SIZES = [1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 17]


def is_linked(name: str, n: int, i: int, j: int) -> bool:
    """Whether worker i takes worker j's replica, i != j."""
    distance = (i - j) % n
    powers = [2**k for k in range(n) if 2**k < n]
    rows = max(r for r in range(1, n + 1) if n % r == 0 and r * r <= n)
    columns = n // rows
    return {
        "ring": distance in (1, n - 1),
        "exponential": distance in powers or n - distance in powers,
        "exponential-directed": distance in powers,
        "hypercube": (i ^ j).bit_count() == 1,
        "complete": True,
        "star": 0 in (i, j),
        "bipartite": (i + j) % 2 == 1,
        "bipartite-exponential": any(hop in (distance, n - distance) for hop in [1, *(1 + p for p in powers if p > 1)]),
        "torus": (i // columns == j // columns and distance_on(columns, i, j) == 1)
        or (i % columns == j % columns and distance_on(rows, i // columns, j // columns) == 1),
    }[name]


def distance_on(n: int, i: int, j: int) -> int:
    return min((i - j) % n, (j - i) % n)


def has(name: str, n: int) -> bool:
    """Whether the topology exists for n workers."""
    if "hypercube" in name:
        return n.bit_count() == 1
    if name == "bipartite-exponential":
        return n == 1 or n % 2 == 0
    return name != "torus" or n <= 3 or any(n % r == 0 for r in range(2, n))


CASES = [(name, n) for name in FIXED for n in SIZES if has(name, n)]


@pytest.mark.parametrize(("name", "n"), CASES)
def test_links_are_those_of_the_definition(name, n):
    found = mixing(name, n)
    for i in range(n):
        wanted = [j for j in range(n) if j != i and is_linked(name, n, i, j)]
        assert [peer for peer, _ in found.neighbours(i)] == wanted
    assert found.symmetric == (name != "exponential-directed" or n <= 3)
    assert found.n == n
    assert found.name == name


@pytest.mark.parametrize(("name", "n"), CASES)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_all_weights_keep_mean_or_sum(name, n, weights):
    (matrix,) = mixing(name, n, weights).rounds
    assert (matrix >= 0).all()
    assert abs(matrix.sum(axis=0) - 1).max() < 1e-12
    if weights != "out":
        assert abs(matrix.sum(axis=1) - 1).max() < 1e-12


@pytest.mark.parametrize("name", [*NAMES, "base-4"])
def test_one_worker_keeps_its_replica(name):
    (matrix,) = mixing(name, 1).rounds
    assert matrix == [[1.0]]
    assert mixing(name, 1).neighbours(0) == mixing(name, 1).edges() == []


def test_uniform_and_metropolis_on_a_star():
    star = mixing("star", 5)
    assert star.neighbours(0) == [(j, pytest.approx(0.2)) for j in range(1, 5)]
    assert star.self_weight(3) == pytest.approx(0.8)
    path = mixing("bipartite", 3).rounds[0]  # 0 - 1 - 2
    assert path == pytest.approx(np.array([[2, 1, 0], [1, 1, 1], [0, 1, 2]]) / 3)
    assert mixing("bipartite", 3, "metropolis").rounds[0] == pytest.approx(path)


def test_metropolis_mixes_more_where_degrees_differ(tmp_path):
    (tmp_path / "g").write_text("0 1\n0 2\n0 3\n4 5\n3 4\n")
    uniform, metropolis = (
        mixing(f"file:{tmp_path / 'g'}", 6, weights).rounds[0] for weights in ("uniform", "metropolis")
    )
    assert uniform[4, 5] == pytest.approx(1 / 4)
    assert metropolis[4, 5] == pytest.approx(1 / 3)
    assert metropolis[0, 3] == uniform[0, 3] == pytest.approx(1 / 4)


def test_lazy_and_self_weight():
    uniform, lazy = (mixing("ring", 7, weights).rounds[0] for weights in ("uniform", "lazy"))
    assert lazy == pytest.approx((np.eye(7) + uniform) / 2, abs=1e-15)
    heavy = mixing("ring", 7, self_weight=0.4)
    assert heavy.neighbours(2) == [(1, pytest.approx(0.3)), (3, pytest.approx(0.3))]
    assert heavy.self_weight(2) == pytest.approx(0.4)
    assert min(mixing("star", 7, "metropolis", 0.25).rounds[0].diagonal()) == pytest.approx(0.25)
    dyadic = mixing("ring", 8, self_weight=0.5)
    assert {weight for rank in range(8) for _, weight in dyadic.neighbours(rank)} == {0.25}


def test_out_weights_keep_the_sum_alone():
    found = mixing("star", 4, "out")
    assert found.is_push
    assert found.receivers(0) == [(j, 0.25) for j in (1, 2, 3)]
    assert found.receivers(2) == [(0, 0.5)]
    assert found.rounds[0].sum(axis=1)[0] == pytest.approx(1.75)
    assert not found.symmetric


def test_edges_and_sides():
    assert mixing("ring", 4).edges() == [(0, 1), (0, 3), (1, 2), (2, 3)]
    assert mixing("one-peer-exponential", 4).edges() == mixing("complete", 4).edges()
    assert mixing("bipartite", 5).sides() == [0, 1, 0, 1, 0]
    assert mixing("ring", 6).sides() == [0, 1, 0, 1, 0, 1]
    assert mixing("ring", 5).sides() is None
    assert mixing("complete", 3).sides() is None
    cube = mixing("hypercube", 8)
    sides = cube.sides()
    assert sides is not None
    assert all(sides[i] != sides[j] for i, j in cube.edges())


def test_for_few_workers_the_paper_s_bipartite_graph_is_complete():
    for n in (4, 8, 16):
        assert mixing("bipartite-exponential", n).edges() == mixing("bipartite", n).edges()
    many = mixing("bipartite-exponential", 64)
    assert len(many.neighbours(0)) < 32
    assert many.sides() == [0, 1] * 32


def test_a_given_grid():
    assert len(mixing("torus", 12).edges()) == 24
    assert mixing("torus:2x6", 12).neighbours(0) == [(j, pytest.approx(1 / 4)) for j in (1, 5, 6)]
    assert mixing("torus:1x5", 5).edges() == mixing("ring", 5).edges()


def test_a_mixing_cannot_be_changed():
    found = mixing("ring", 4)
    with pytest.raises(ValueError, match="read-only"):
        found.rounds[0][0, 0] = 1.0
    with pytest.raises(AttributeError):
        found.name = "x"


def test_replicas_come_together_no_more_slowly_than_the_bound():
    x = np.random.default_rng().normal(size=(9, 5))
    (matrix,) = mixing("torus", 9).rounds
    apart = [x - x.mean(axis=0)]
    for _ in range(12):
        x = matrix @ x
        apart.append(x - x.mean(axis=0))
    sigma = np.linalg.norm(matrix - 1 / 9, 2)
    for step, rest in enumerate(apart):
        assert np.linalg.norm(rest) <= sigma**step * np.linalg.norm(apart[0]) * (1 + 1e-9)
