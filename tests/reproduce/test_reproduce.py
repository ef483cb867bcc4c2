"""hogwild reproduce: every figure keeps the contract of the registry at the smallest scale; mistakes give one line."""

from __future__ import annotations

import csv
import math
import os
import sys
from dataclasses import replace

import pytest
import warm
from slow import rest_is_slow

from hogwild import reproduce
from hogwild.cli import reproduce as face
from hogwild.errors import UsageError
from hogwild.reproduce import escape, large_batch, lr_scan, output, random_delay, spikes, thresholds
from hogwild.reproduce.figure import SMOKE, line
from hogwild.reproduce.study import RESULTS, Study
from hogwild.theory.closed_forms import constant_delay, uniform_delay


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("figures")


@pytest.mark.parametrize("name", rest_is_slow(reproduce.REGISTRY, {"fig8"}))
def test_a_figure_writes_csv_png_and_one_line(folder, name, capsys):
    figure = reproduce.find(name)
    if name == "delayed-text" and "HOGWILD_DATA" not in os.environ:
        pytest.skip("tinyshakespeare may not be on this machine")
    face.compute([figure], SMOKE, 0, folder, 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    claim, measured, holds = lines[0].split(" | ")
    assert claim == figure.claim
    assert any(letter.isdigit() for letter in measured)
    assert holds in ("yes", "no")
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with (folder / f"{name}.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["scale", *figure.columns]
    assert len(rows) >= 2
    assert {row[0] for row in rows} == {SMOKE}
    where = ", ".join([figure.source, SMOKE, *([rows[0][1]] if "data" in figure.columns else [])])
    table = (folder / output.TABLE).read_text()
    assert f"| [{name}]({name}.csv), {where} | {claim} | {measured} | {holds} |" in table
    assert f"\nhogwild reproduce {name} --scale {SMOKE} --out {folder}\n" in table


@pytest.mark.parametrize("name", reproduce.REGISTRY)
def test_a_figure_has_claim_source_and_settings(name):
    figure = reproduce.find(name)
    assert figure.name == name
    assert len(figure.claim) > 20
    assert "|" not in figure.claim
    assert figure.source.startswith("Giladi et al. 2020, figure ") == name.startswith("fig")
    module = sys.modules[reproduce.REGISTRY[name]]
    assert "The paper: " in module.__doc__
    assert "Here: " in module.__doc__


def test_finished_work_is_not_done_again(tmp_path):
    study = Study(SMOKE, 0, tmp_path)
    assert study.run(math.hypot, []) == []
    assert study.run(scaled, [{"x": 2.0}, {"x": 3.0}, {"x": 2.0}]) == [{"twice": 4.0}, {"twice": 6.0}, {"twice": 4.0}]
    path = tmp_path / RESULTS
    kept = path.read_text()
    assert len(kept.splitlines()) == 2
    path.write_text(kept.replace("6.0", "7.0") + kept[:20])  # a changed value, and an unfinished line
    again = Study(SMOKE, 0, tmp_path)
    assert again.run(scaled, [{"x": 3.0}, {"x": 4.0}]) == [{"twice": 7.0}, {"twice": 8.0}]
    assert len(path.read_text().splitlines()) == 3


def test_failed_work_is_not_stored(tmp_path):
    with pytest.raises(TypeError):
        Study(SMOKE, 0, tmp_path).run(scaled, [{"x": 1.0}, {"x": None}])
    assert len((tmp_path / RESULTS).read_text().splitlines()) == 1


def test_other_processes_give_the_same(tmp_path):
    study = Study(SMOKE, 0, tmp_path, jobs=2)
    cases = [
        {"rule": rule, "delay": delay, "momentum": momentum}
        for rule, momentum in (("none", 0.0), ("shifted", 0.5))
        for delay in (1, 4)
    ]
    assert study.run(constant_delay, cases) == [constant_delay(**case) for case in cases]


def scaled(x: float) -> dict[str, float]:
    return {"twice": 2 * x}


@pytest.mark.parametrize("name", rest_is_slow(["fig4", "fig6", "fig10"], {"fig6"}))
def test_thresholds_are_those_of_the_closed_forms(name, tmp_path):
    rule = {"fig4": "shifted", "fig6": "none", "fig10": "standard"}[name]
    rows = reproduce.find(name).compute(Study(SMOKE, 0, tmp_path))
    for row in rows:
        m = row["momentum"]
        expected = constant_delay(rule if m else "none", row["delay"], m, row["dampening"])
        assert row["threshold"] == pytest.approx(expected, rel=1e-9)
        assert (row["simulated"] is not None) == (row["delay"] in (1, 4))
        if row["simulated"] is not None:
            assert row["simulated"] == pytest.approx(expected, rel=2e-3)


def test_an_edge_outside_the_scan_is_not_invented():
    from hogwild.reproduce.quadratic import edge

    case = {"algorithm": "asgd", "options": {}, "workers": 3, "clock": "round-robin", "updates": 600}
    true = constant_delay("none", 2)
    assert edge(**case, near=true) == pytest.approx(true, rel=1e-3)
    assert edge(**case, near=true * 1.05) == pytest.approx(true, rel=1e-3)
    assert edge(**case, near=true * 0.8) is None
    assert edge(**case, near=true * 1.3) is None


def test_uniform_delays_are_those_of_the_closed_form(tmp_path):
    rows = reproduce.find("fig7").compute(Study(SMOKE, 0, tmp_path))
    for b, row in enumerate(rows, 1):
        assert row["threshold"] == pytest.approx(uniform_delay(b), rel=1e-9)
        assert row["delay_mean"] == pytest.approx((1 + b) / 2)
        assert row["mean_square"] <= row["threshold"] * (1 + 1e-9)
    assert [row["simulated"] is not None for row in rows] == [False, True, False, False]


def test_the_line_through_points():
    assert line([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx((2.0, 1.0, 1.0))
    slope, intercept, r2 = line([(0.0, 0.0), (1.0, 2.0), (2.0, 1.0)])
    assert (slope, intercept, r2) == pytest.approx((0.5, 0.5, 0.25))


def scan_rows(rule: str, delay: int, errors: dict[float, float | None]) -> list[dict[str, object]]:
    return [
        {"rule": rule, "delay": delay, "lr": lr, "seed": 0, "epoch": epoch, "loss": 1.0, "error": error}
        for lr, error in errors.items() for epoch in range(1, 5)
    ]  # fmt: skip


def test_the_scan_holds_only_if_the_best_lr_is_near_the_rule():
    sync = scan_rows("sync", 0, {0.16: 0.2, 0.32: 0.1})
    others = scan_rows("shifted", 32, {0.01: 0.11}) + scan_rows("standard", 32, {0.01: 0.2})
    good = scan_rows("none", 32, {0.0025: 0.3, 0.01: 0.11, 0.04: 0.5, 0.08: None})
    verdict = lr_scan.verdict_delay(sync + others + good)
    assert verdict.holds
    assert "diverged above 0.04" in verdict.measured
    far = scan_rows("none", 32, {0.0025: 0.1, 0.01: 0.11, 0.04: 0.5})
    assert not lr_scan.verdict_delay(sync + others + far).holds
    no_gap = scan_rows("none", 32, {0.0025: 0.3, 0.01: 0.1, 0.04: 0.11})
    assert not lr_scan.verdict_delay(sync + others + no_gap).holds


def test_the_best_lr_must_fall_like_one_over_the_delay():
    rows = scan_rows("none", 0, {0.16: 0.1, 0.32: 0.2})
    for delay in (4, 8, 16):
        rows += scan_rows("none", delay, {lr: 0.1 + abs(math.log(lr * delay / 0.16)) / 90 for lr in (0.01, 0.02, 0.04)})
    verdict = lr_scan.verdict_delays(rows)
    assert verdict.holds
    assert "delay^-1.00" in verdict.measured
    flat = scan_rows("none", 0, {0.16: 0.1}) + scan_rows("none", 4, {0.01: 0.1}) + scan_rows("none", 16, {0.01: 0.1})
    assert not lr_scan.verdict_delays(flat).holds


def escape_rows(lr_max: dict[int, float]) -> list[dict[str, object]]:
    return [
        {"delay": delay, "lr": edge * 1.1**power, "lr_sync": 0.3, "curvature": 2.0, "epoch": epoch, "loss": 0.1,
         "error": 0.1, "left": int(power > 0 and epoch == 2)}
        for delay, edge in lr_max.items() for power in (-1, 0, 1, 2) for epoch in (1, 2)
    ]  # fmt: skip


def test_the_edge_is_the_largest_lr_that_stays():
    true = {delay: 0.9 / (2 * delay + 1) for delay in (1, 2, 4, 8, 16)}
    rows = escape_rows(true)
    assert escape.edges(rows) == pytest.approx(true)
    assert escape.verdict_edge(rows).holds
    assert not escape.verdict_edge(escape_rows({delay: 0.9 / delay**0.5 for delay in true})).holds
    all_stay = [{**row, "left": 0} for row in rows if row["delay"] == 4]
    assert escape.edges(all_stay) == {4: None}
    assert "too few" in escape.verdict_edge(all_stay).measured
    assert escape.verdict_rule(escape_rows({delay: 0.3 / delay for delay in true})).holds
    assert not escape.verdict_rule(escape_rows({delay: 0.9 / delay for delay in true})).holds


def test_spiky_epochs_are_counted_in_the_second_half():
    def runs(**errors):
        return [
            {"rule": rule, "lr": 0.1, "epoch": epoch, "loss": 1.0, "train_error": error, "test_error": error}
            for rule, course in errors.items() for epoch, error in enumerate(course, 1)
        ]  # fmt: skip

    calm, two, lost = (0.5, 0.9, 0.1, 0.1, 0.12, 0.1), (0.5, 0.1, 0.1, 0.2, 0.1, 0.16), (0.5, 0.1, None)
    assert [spikes.spiky(runs(x=course)) for course in (calm, two, lost)] == [0, 2, None]
    assert spikes.verdict(runs(standard=two, none=lost, shifted=calm)).holds
    assert not spikes.verdict(runs(standard=calm, none=two, shifted=calm)).holds
    assert not spikes.verdict(runs(standard=two, none=two, shifted=lost)).holds


def test_shape_verdicts_need_all_of_the_claim():
    final = {"S-SGD": 0.10, "standard": 0.2, "none": 0.13, "shifted": 0.125, "standard, sqrt": 0.9}

    def rows(**changes):
        errors = {name.replace("_", "-"): error for name, error in {**final, **changes}.items()}
        return [{"run": name, "lr": 0.1, "seed": 0, "epoch": 1, "loss": 1.0, "error": e} for name, e in errors.items()]

    assert large_batch.verdict_momenta(rows()).holds
    assert large_batch.verdict_momenta(rows(**{"standard, sqrt": None})).holds
    assert large_batch.verdict_momenta(rows(**{"S-SGD": 0.14})).holds, "nothing is lost without momentum"
    half = {"none": 0.155, "shifted": 0.15}
    for change in ({"standard": 0.12}, {"shifted": 0.15}, {"standard, sqrt": 0.2}, {"S-SGD": 0.25}, half):
        assert not large_batch.verdict_momenta(rows(**change)).holds
    assert large_batch.verdict_laws(rows(**{"shifted, Gaussian": 0.13})).holds
    assert not large_batch.verdict_laws(rows(**{"shifted, Gaussian": 0.15})).holds


def test_values_without_a_number_survive_the_csv(tmp_path):
    figure = replace(thresholds.FIGURES[0], columns=("a", "b", "c"))
    rows = [{"a": 3, "b": None, "c": "shifted, Gaussian"}, {"a": 0.25, "b": 1e-9, "c": "x"}]
    output.write_csv(tmp_path / "x.csv", figure, rows, "tiny")
    assert output.read_csv(tmp_path / "x.csv", figure) == ("tiny", rows)
    with pytest.raises(UsageError, match="lacks the columns of fig4"):
        output.read_csv(tmp_path / "x.csv", thresholds.FIGURES[0])


@pytest.mark.slow
def test_without_matplotlib_csv_and_line_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    face.compute([random_delay.FIGURES[0]], SMOKE, 0, tmp_path, 1)
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert printed.err.splitlines() == ["no fig7.png: it needs matplotlib: pip install 'hogwild[plot]'"]
    assert (tmp_path / "fig7.csv").exists()
    assert not (tmp_path / "fig7.png").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: FIG"),
        (["fig99"], "unknown figure 'fig99'.*Known: fig1, "),
        (["fig1", "list"], "unknown figure 'list'"),
        (["99"], "unknown figure '99'"),
        (["1", "--scale", "huge"], "invalid choice: 'huge'"),
        (["1", "--scale", SMOKE], "invalid choice"),
        (["3", "1", "--scale", "small"], "fig1 has no scale small: give --scale tiny or paper"),
        (["1", "--seed", "-1"], "--seed -1: it must be at least 0"),
        (["1", "--jobs", "0"], "--jobs 0: it must be at least 1"),
        (["6", "--out", "/dev/null/x"], "cannot write to /dev/null/x"),
        (["6", "--sed", "1"], "Did you mean --seed"),
    ],
)
def test_mistakes_are_one_line(argv, message):
    with pytest.raises(UsageError, match=message):
        face.main(argv)


def test_all_are_those_that_have_the_scale():
    figures = [reproduce.find(name) for name in reproduce.REGISTRY]
    small = [figure.name for figure in face.at_scale(figures, "small", whole=True)]
    assert {"fig3", "fig12"} <= set(small) < set(reproduce.REGISTRY)


def test_longer_runs_of_figure_3_go_with_the_delay(tmp_path):
    small, tiny = (Study(scale, 0, tmp_path) for scale in ("small", "tiny"))
    assert [lr_scan._epochs_under(small, delay) for delay in (0, 4, 8, 16, 32)] == [30, 30, 60, 120, 240]
    assert lr_scan._epochs_under(tiny, 32) == 30


def test_list_names_every_figure(capsys):
    assert face.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [text.split()[0] for text in lines] == list(reproduce.REGISTRY)


def test_the_command_runs_in_both_forms():
    for command in (["hogwild.cli.main", "reproduce"], ["hogwild.reproduce"]):
        done = warm.run(
            [sys.executable, "-W", "error", "-m", *command, "figx"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2
        assert done.stderr.startswith("hogwild: error: unknown figure 'figx'")
        assert len(done.stderr.splitlines()) == 1
