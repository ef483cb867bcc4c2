"""Refusals of a topology, in one line; topologies from files; the mixing on which D² is stable."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.errors import UsageError
from hogwild.theory.mixing import d2_contraction, spectrum
from hogwild.topology import mixing
from hogwild.topology.catalog import d2_safe
from hogwild.topology.matrices import Mixing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hypercube", 6), "needs 2^k workers, not 6: use --workers 4 or 8, or --topology base-2"),
        (("one-peer-hypercube", 3), "needs 2^k workers, not 3: use --workers 2 or 4, or --topology base-2"),
        (("bipartite-exponential", 7), "has two equal sides, not 7 workers: use --workers 8"),
        (("torus", 7), "7 workers form none: use --workers 8 or ring"),
        (("torus:2x3", 8), "torus:2x3 has 6 workers, not 8"),
        (("rign", 4), "topology 'rign' is not known; it must be one of ring, "),
        (("base-1", 4), "the base is at least 2"),
        (("ring", 0), "at least 1 is needed"),
        (("ring", 4, "unifrom"), "unknown weights 'unifrom'. Did you mean 'uniform'?"),
        (("ring", 4, "uniform", 1.0), "self-weight 1 with weights uniform: it must be in [0, 1) and not with out"),
        (("ring", 4, "out", 0.5), "it must be in [0, 1) and not with out"),
        (("base-2", 4, "lazy"), "base-2 has weights of its own"),
        (("one-peer-exponential", 4, "uniform", 0.5), "one-peer-exponential has weights of its own"),
        (("ring", 4, "uniform", 0.0), "is periodic and never averages: give the workers a self-weight > 0"),
        (("file:nowhere", 4), "cannot read topology file nowhere: No such file or directory"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(UsageError) as refusal:
        mixing(*arguments)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_odd_ring_needs_no_self_weight():
    assert mixing("ring", 5, self_weight=0.0).self_weight(3) == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n2 3\n", "is not connected: no links join worker 2 and worker 0"),
        ("0 1\n1 x\n", "line 2: '1 x' is not numbers"),
        ("0 1\n\n1 4\n", "line 3: edge 1 4 does not join two of the workers 0 to 3"),
        ("0 1\n1 1\n", "line 2: edge 1 1 does not join"),
        ("0 .5\n", "line 1: edge 0 0.5 does not join"),
        (
            "0 1 2\n",
            "neither an edge list (2 numbers a line) nor the 4 x 4 matrix of 4 workers; it has 1 lines of 3 numbers",
        ),
        ("# nothing\n", "it has 0 lines of no numbers"),
        ("nan 0 0 0\n" * 4, "line 1: 'nan 0 0 0' is not finite"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "is not connected: no links join worker 1 and worker 0"),
        (".5 .5 0 0\n.5 .5 0 0\n0 .5 .5 0\n0 0 .5 .5\n", "column 1 sums to 1.5, not to 1: the mean would drift"),
        ("1.5 -.5 0 0\n-.5 1.5 0 0\n0 0 1 0\n0 0 0 1\n", "weight -0.5 in row 0, column 1; weights are finite and >= 0"),
        ("0 0 0 1\n1 0 0 0\n0 1 0 0\n0 0 1 0\n", "is periodic and never averages"),
        ("1 0 0 0\n.5 0 .5 0\n0 .5 0 .5\n0 0 .5 .5\n", "column 0 sums to 1.5"),
    ],
)
def test_refused_files(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g").write_text(text)
    with pytest.raises(UsageError) as refusal:
        mixing("file:g", 4)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g").write_text("# a ring\n0, 1\n1 2  # blanks or commas\n2 3\n3 0\n")
    assert (mixing("file:g", 4).rounds[0] == mixing("ring", 4).rounds[0]).all()
    assert (mixing("file:g", 4, "lazy").rounds[0] == mixing("ring", 4, "lazy").rounds[0]).all()
    matrix = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]])
    np.savetxt("m", matrix)
    found = mixing("file:m", 3)
    assert (found.rounds[0] == matrix).all()
    assert found.neighbours(0) == [(1, 0.5)]
    assert found.receivers(0) == [(2, 0.5)]
    np.savetxt("out", [[0.5, 0.2, 0.5], [0.25, 0.8, 0], [0.25, 0, 0.5]])
    assert mixing("file:out", 3, "out").is_push
    with pytest.raises(UsageError, match=r"row 2 sums to 0\.75"):
        mixing("file:out", 3)


def test_two_workers_in_a_file(tmp_path):
    path = tmp_path / "g"
    path.write_text("0 1\n")
    assert mixing(f"file:{path}", 2).rounds[0] == pytest.approx(np.full((2, 2), 0.5))
    path.write_text(".7 .3\n.3 .7\n")
    assert mixing(f"file:{path}", 2).self_weight(0) == 0.7


def test_bad_matrices_are_refused():
    with pytest.raises(UsageError, match="the matrix is 2 x 3; it must be square"):
        Mixing("odd", (np.ones((2, 3)) / 3,))
    with pytest.raises(UsageError, match="round 1: the matrix is 2 x 2"):
        Mixing("odd", (np.ones((3, 3)) / 3, np.ones((2, 2)) / 2))


@pytest.mark.parametrize(("name", "n"), [("ring", 4), ("ring", 8), ("hypercube", 8), ("bipartite", 16), ("torus", 16)])
def test_d2_gets_the_lazy_form_where_its_spectrum_reaches_a_third(name, n):
    given = mixing(name, n)
    assert d2_contraction(given.rounds[0]) >= 1 - 1e-12
    lowest, safe = d2_safe(given)
    assert lowest == pytest.approx(spectrum(given.rounds[0]).lambda_min)
    assert lowest <= -1 / 3 + 1e-12
    assert safe.name == f"lazy {name}"
    assert safe.rounds[0] == pytest.approx(mixing(name, n, "lazy").rounds[0], abs=1e-15)
    assert d2_contraction(safe.rounds[0]) < 1


def test_d2_keeps_a_safe_mixing_and_refuses_one_on_which_it_is_not_defined():
    for given in (mixing("ring", 5), mixing("ring", 8, self_weight=0.4), mixing("complete", 6), mixing("star", 9)):
        lowest, safe = d2_safe(given)
        assert safe is given
        assert lowest > -0.33
    with pytest.raises(UsageError, match="base-2 changes from round to round"):
        d2_safe(mixing("base-2", 6))
    with pytest.raises(UsageError, match="exponential-directed is not symmetric"):
        d2_safe(mixing("exponential-directed", 6))
