"""The two figures: their numbers and their verdicts. A verdict can fail."""

from __future__ import annotations

import pytest

from hogwild.theory import admm, downpour, elastic, figures


def test_admm_map():
    rows = figures.admm_rows(12)
    assert len(rows) == 2 * 12 * 12
    assert {tuple(row) for row in rows} == {figures.ADMM_COLUMNS}
    assert (max(row["lr"] for row in rows), max(row["rho"] for row in rows)) == (pytest.approx(0.01), pytest.approx(10))
    for row in rows[::37]:
        assert row["admm"] == pytest.approx(float(admm.radius(row["workers"], row["lr"], row["rho"])), abs=1e-12)
        assert row["easgd"] == pytest.approx(elastic.radius(row["workers"], row["lr"], row["lr"] * row["rho"]))
    words, holds = figures.admm_verdict(rows)
    assert holds
    unstable = sum(row["admm"] > 1 for row in rows if row["workers"] == 8)
    assert f"p = 8: ADMM diverges at {unstable} of 144 points" in words


def test_admm_verdict_can_fail():
    rows = figures.admm_rows(6)
    assert not figures.admm_verdict([{**row, "admm": 0.999} for row in rows])[1]
    assert not figures.admm_verdict([*rows[1:], {**rows[0], "easgd": 1.001}])[1]
    assert not figures.admm_verdict(figures.admm_rows(6, (2,)))[1]


def test_periods():
    rows = figures.period_rows()
    assert {tuple(row) for row in rows} == {figures.PERIOD_COLUMNS}
    assert [(row["workers"], row["period"]) for row in rows] == [(p, n) for p in (4, 8, 16) for n in (1, 4, 16, 64)]
    for row in rows:
        assert row["k"] == pytest.approx(0.2 / row["workers"])
        assert row["downpour"] == downpour.radius(row["workers"], row["k"], row["period"])
        assert (row["downpour"] < 1) == (row["k"] < row["downpour_critical_k"])
    words, holds = figures.period_verdict(rows)
    assert holds
    assert "p = 4, k = 0.05: 0.780 / 0.960 (1), 0.493 / 0.854 (4), 1.208 / 0.578 (16), 1.901 / 0.372 (64)" in words
    assert not figures.period_verdict([{**row, "easgd": 1.0} for row in rows])[1]
    assert not figures.period_verdict([{**row, "downpour": 0.9} for row in rows])[1]


def test_the_same_for_other_learning_rates(monkeypatch):
    """The verdict holds for the learning rates that the docstring of period_rows names."""
    for cycle_k, expected in ((0.15, True), (0.42, True), (0.1, False), (0.6, False)):
        monkeypatch.setattr(figures, "CYCLE_K", cycle_k)
        assert figures.period_verdict(figures.period_rows())[1] == expected


def test_plots(tmp_path):
    figure_module = pytest.importorskip("matplotlib.figure")
    for number, (plot, rows) in enumerate(
        [(figures.plot_admm, figures.admm_rows(8)), (figures.plot_period, figures.period_rows())]
    ):
        figure = figure_module.Figure()
        plot(figure.subplots(), rows)
        figure.savefig(tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 5000
