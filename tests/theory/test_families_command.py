"""`hogwild stability --family ...`: prints the results of the library, refuses options that do not fit together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slow import slow

from hogwild.cli import main as cli
from hogwild.theory import admm, downpour, elastic
from hogwild.theory import mixing as theory
from hogwild.topology import mixing


@pytest.fixture
def ask(capsys, tmp_path, monkeypatch):
    """The report of `hogwild stability --family ...`, run in its own directory."""
    monkeypatch.chdir(tmp_path)

    def ask(line: str) -> str:
        assert cli.main(["stability", "--family", *line.split()]) == 0
        return capsys.readouterr().out

    return ask


@pytest.fixture
def facts(ask):
    def facts(line: str) -> dict[str, Any]:
        return json.loads(ask(f"{line} --json"))

    return facts


def test_downpour_in_words(ask):
    assert ask("downpour --lr 0.025 --curvature 2").splitlines() == [
        "downpour: workers 4, curvature 2, lr 0.025",
        "period  critical curvature x lr  critical lr    radius  easgd radius   verdict",
        "     1                 0.445042     0.222521  0.779932      0.960494    stable",
        "     4                 0.136892    0.0684461  0.493161      0.854417    stable",
        "    16                0.0361349    0.0180674    1.2084      0.577925  unstable",
        "    64               0.00915878   0.00457939   1.90111      0.371725  unstable",
        "1 - (1 - curvature x lr)^period < 2 sin(pi / (4 P - 2)), workers in turn; "
        "radius: per P x period steps, easgd at beta 0.9",
    ]


def test_easgd(facts):
    found = facts("easgd -p 3 --period 4 --lr 0.02 --curvature 5 --exchange post --beta 0.6")
    (row,) = found["table"]
    assert (found["alpha"], found["beta"]) == (pytest.approx(0.2), pytest.approx(0.6))
    assert row["critical_alpha"] == elastic.critical_alpha(3, 0.1, 4, exchange="post")
    assert row["alpha_for_any_workers"] == elastic.safe_alpha(0.1, 4, "post")
    assert row["radius"] == pytest.approx(elastic.radius(3, 0.1, 0.2, 4, exchange="post"))
    assert row["verdict"] == "stable"
    assert "alpha_if_all_read_at_once" not in row


def test_easgd_by_its_penalty_and_with_momentum(facts):
    found = facts("easgd --lr 0.1 --rho 9 --momentum 0.9 --workers 3")
    assert found["alpha"] == pytest.approx(0.9)
    assert "alpha_for_any_workers" not in found["table"][0]
    assert facts("easgd --alpha 0.98 --lr 0.1 --workers 3")["table"][0]["verdict"] == "unstable"
    assert facts("easgd --alpha 0.98 --lr 0.1 --workers 2")["table"][0]["verdict"] == "stable"
    assert len(facts("easgd")["table"]) == 4


def test_admm(facts, ask):
    found = facts("admm --workers 8 --lr 0.0005 --curvature 2")
    row = found["table"][1]
    region = admm.region(8, 0.5)
    assert row["rho"] == 1.0
    assert row["diverges_below_lr"] == region.edge / 2
    assert row["radius"] == pytest.approx(float(admm.radius(8, 0.001, 0.5)))
    assert row["easgd_radius"] == pytest.approx(elastic.radius(8, 0.001, 0.0005))
    assert row["verdict"] == "unstable"
    assert facts("admm -p 2 --rho 3")["table"][0] == {
        "rho": 3.0, "diverges_below_lr": 0.0, "worst_lr": 0.0, "worst_radius": None,
    }  # fmt: skip
    assert "10        0.000763187" in ask("admm")


def test_d2(facts, ask):
    found = {row["topology"]: row for row in facts("d2")["table"]}
    assert set(found) == {
        "ring", "exponential", "hypercube", "complete", "star", "bipartite", "bipartite-exponential", "torus",
    }  # fmt: skip
    ring = mixing("ring", 8)
    assert found["ring"]["d2_factor"] == theory.d2_contraction(ring.rounds[0])
    assert found["ring"]["random_pair_factor"] == theory.random_pairs(8, ring.edges())
    assert found["ring"]["lazy_d2_factor"] == theory.d2_contraction(mixing("ring", 8, "lazy").rounds[0])
    assert [name for name, row in found.items() if row["verdict"] == "stable"] == ["exponential", "complete", "star"]
    assert "hypercube" not in ask("d2 -p 6")
    assert "0.90789" in ask("d2 --topology ring --self-weight 0.4")
    assert facts("d2 -p 1 --topology ring")["table"][0]["random_pair_factor"] is None
    assert facts("d2 --weights lazy --topology hypercube")["table"][0]["verdict"] == "stable"


def test_a_topology_from_a_file(ask):
    Path("my_graph").write_text("0 1\n1 2\n2 3\n3 4\n")
    assert "file:my_graph" in ask("d2 -p 5 --topology file:my_graph")


@pytest.mark.parametrize("line", ["downpour -p 8", slow("admm"), slow("admm -p 2")])
def test_plots(ask, line):
    pytest.importorskip("matplotlib")
    ask(f"{line} --plot a.png")
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_defaults(facts):
    assert [row["critical_curvature_x_lr"] for row in facts("downpour -p 16 --period 7")["table"]] == [
        downpour.critical_k(16, 7)
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("easgd --delay 3", "--delay has no effect with --family easgd: it is for delay"),
        ("easgd --plot a.png", "--plot has no effect with --family easgd: it is for delay or admm or downpour"),
        ("delay --alpha 1", "--alpha has no effect with --family delay: it is for easgd"),
        ("easgd --alpha 0.1 --beta 0.4", "--alpha and --beta both set the moving rate"),
        ("easgd --rho 2", "--rho 2 sets alpha = lr rho: give --lr X too"),
        ("easgd --lr 3", "curvature x lr is 3; a worker alone is stable from 0 to 2"),
        ("easgd --beta 0", "--beta 0: it must be a number > 0"),
        ("easgd -p 0", "--workers 0: it must be from 1 to 256"),
        ("downpour --period 0", "--period 0: it must be from 1 to 100000"),
        ("admm --rho -1", "--rho -1: it must be a number > 0"),
        ("d2 --topology hypercube -p 6", "needs 2^k workers, not 6"),
        ("d2 --topology base-2", "D² needs one symmetric mixing matrix and base-2 changes from round to round"),
        ("d2 --weights out", "invalid choice: 'out'"),
        ("sgd", "invalid choice: 'sgd'"),
    ],
)
def test_refusals(line, message, capsys):
    assert cli.main(["stability", "--family", *line.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
