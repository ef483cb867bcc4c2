"""hogwild compare: each cell is run once, finished cells are kept, tables show the cells."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm

from hogwild.cli import compare
from hogwild.cli.comparison_report import Report
from hogwild.config import Config
from hogwild.drivers import comparison
from hogwild.errors import UsageError

TIMEOUT_S = 120.0
GRID = ["--algorithms", "asgd,shifted", "--workers-list", "1,4", "--seeds", "2", "--epochs", "1", "--jobs", "1"]


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_every_cell_is_run_once_and_finished_ones_are_kept(tmp_path, capsys):
    argv = [*GRID, "--directory", str(tmp_path)]
    assert compare.main(argv) == 0
    first = (tmp_path / "results.jsonl").read_text()
    assert len(rows(tmp_path)) == 8
    assert len({json.dumps(row["key"]) for row in rows(tmp_path)}) == 8
    assert all(0.3 < row["test_accuracy"] <= 1 for row in rows(tmp_path))

    before = contents(tmp_path)
    assert {path.name for path in before} >= {*FILES, "metrics.jsonl", "pushes.csv", "timeline.bin"}
    lines = first.splitlines(keepends=True)
    ended = "".join(lines[k] for k in (4, 1, 3, 0, 2))  # in the order in which several processes may end
    (tmp_path / "results.jsonl").write_text(ended + lines[5][:20])  # killed while it wrote the sixth row
    for name in ("table.md", "table.csv", "plot.png", "report.html"):
        (tmp_path / name).unlink()
    cut_off = tmp_path / "runs/shifted-4-gamma-1/pushes.csv"  # and while the last run went on
    cut_off.write_text(cut_off.read_text()[:300])
    assert compare.main(argv) == 0
    assert contents(tmp_path) == before, "the same bytes but for wall times"
    assert "wall_s" not in first
    assert len((tmp_path / "wall_times.jsonl").read_text().splitlines()) == 8 + 3
    table = (tmp_path / "table.md").read_text()
    assert "| algorithm | N = 1 | N = 4 |" in table
    assert "±" in table
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 9
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "shifted" in capsys.readouterr().out


FILES = ("results.jsonl", "table.md", "table.csv", "plot.png", "report.html")


def contents(folder: Path) -> dict[Path, bytes]:
    """Path -> bytes of the files of a comparison and of its runs that have no wall time and no date in them."""
    runs = [path for name in ("metrics.jsonl", "pushes.csv", "timeline.bin") for path in folder.glob(f"runs/*/{name}")]
    return {path: path.read_bytes() for path in (*(folder / name for name in FILES), *runs)}


@pytest.mark.slow
def test_a_comparison_that_is_killed_at_half_goes_on_to_the_same_bytes(tmp_path):
    command = [sys.executable, "-m", "hogwild", "compare", *GRID[:-1], "2", "--tune", "lr=0.1,0.03", "--directory"]
    warm.run([*command, "whole"], cwd=tmp_path, check=True, capture_output=True, timeout=TIMEOUT_S)
    killed = warm.Popen([*command, "killed"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline, path = time.monotonic() + TIMEOUT_S, tmp_path / "killed/results.jsonl"
    while time.monotonic() < deadline and not (path.exists() and path.read_text().count("\n") >= 8):
        time.sleep(0.01)
    killed.kill()
    killed.wait(TIMEOUT_S)
    assert 8 <= path.read_text().count("\n") < 16
    warm.run([*command, "killed"], cwd=tmp_path, check=True, capture_output=True, timeout=TIMEOUT_S)
    whole, again = ({file.relative_to(tmp_path / name): data for file, data in contents(tmp_path / name).items()}
                    for name in ("whole", "killed"))  # fmt: skip
    assert again == whole


@pytest.mark.slow
def test_lr_over_delay_divides_by_the_mean_delay(tmp_path):
    compare.main([*GRID, "--lr-over-delay", "shifted", "--directory", str(tmp_path)])
    lr = {(row["key"][0], row["key"][1]): row["lr"] for row in rows(tmp_path)}
    assert lr["shifted", 4] == pytest.approx(lr["shifted", 1] / 3)
    assert lr["asgd", 4] == lr["asgd", 1]


def test_an_algorithms_own_options_go_to_those_that_have_them(tmp_path, capsys):
    grid = ["--algorithms", "ssgd,d2", "--workers-list", "5", "--seeds", "1", "--updates", "20", "--jobs", "1"]
    compare.main(
        [*grid, "--shard", "label", "--topology", "ring", "--weights", "uniform", "--directory", str(tmp_path)]
    )
    assert {row["key"][0] for row in rows(tmp_path)} == {"ssgd", "d2"}
    runs = {path.name.split("-")[0]: (path / "config.yaml").read_text() for path in (tmp_path / "runs").iterdir()}
    assert "topology: ring" in runs["d2"]
    assert "topology" not in runs["ssgd"]
    assert all("shard: label" in text for text in runs.values())
    capsys.readouterr()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--algorithms", "asdg"], "unknown algorithm 'asdg'.*Did you mean 'asgd'"),
        (["--algorithms", "ssgd,easgd", "--topology", "ring"], "none of ssgd, easgd has the option --topology"),
        (["--workers-list", "1,x"], "numbers such as 1,4,16"),
        (["--workers-list", "0"], "at least 1"),
        (["--algorithm", "asgd"], "--algorithm is part of the grid"),
        (["--clocks", "gama"], "gama"),
        (["--vary", "period"], "such as lr=0.1,0.01: not 'period'"),
        (["--vary", "seed=0,1"], "--seed is part of the grid"),
        (["--tune", "lr=0.1,0.01", "--lr", "0.1"], "--lr has the values of --vary or --tune"),
        (["--vary", "lr=0.1", "--tune", "lr=0.01"], "--lr has the values of --vary or --tune"),
        (["--algorithms", "asgd", "--vary", "period=1,4"], "algorithm asgd has no option 'period'"),
        (["--vary", "lr=0.1,fast"], "lr: 'fast' is not allowed"),
        (["--algorithms", ","], "there is nothing to compare"),
        (["--clocks", ";"], "there is nothing to compare"),
        (["--seeds", "0"], "--seeds 0: it must be at least 1"),
        (["--jobs", "0"], "--jobs 0: it must be at least 1"),
        (["--algorithms", "asgd", "--lr-over-delay", "shifted"], "--lr-over-delay shifted is none of the algorithms"),
    ],
)
def test_mistakes_end_before_any_run(tmp_path, argv, message):
    with pytest.raises(UsageError, match=message):
        compare.main([*argv, "--directory", str(tmp_path)])
    assert not (tmp_path / "results.jsonl").exists()


def test_options_are_varied_and_tuned_each_value_a_run_of_its_own(tmp_path, capsys):
    argv = ["--algorithms", "easgd,downpour", "--workers-list", "2", "--vary", "period=1,32", "--tune", "lr=0.1,0.003"]
    argv += ["--seeds", "1", "--epochs", "1", "--jobs", "1", "--directory", str(tmp_path)]
    assert compare.main(argv) == 0
    kept = rows(tmp_path)
    assert {tuple(row["key"][4:]) for row in kept} == {
        (f"period={p}", f"lr={lr}") for p in ("1", "32") for lr in ("0.1", "0.003")
    }
    assert all(f"lr={row['lr']:g}" == row["key"][5] for row in kept)
    scores = {(row["key"][0], *row["key"][4:]): row["test_accuracy"] for row in kept}
    assert len(set(scores.values())) > 4, "the values of the options make a difference"
    best = max(scores["easgd", "period=32", f"lr={lr}"] for lr in ("0.1", "0.003"))
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[2] == "| algorithm | period = 1 | period = 32 |"
    assert next(line for line in lines if line.startswith("| easgd")).split("|")[3].startswith(f" {best:.4f} (lr 0.")
    capsys.readouterr()
    assert compare.main(argv) == 0
    assert "gap " not in capsys.readouterr().out.partition("###")[0], "nothing is run again"


def run(score: float | None, lr: str, seed: int, *, maximize: bool = True) -> dict[str, object]:
    figures = {"gap_rms": 0.5, "delay": {"mean": 1.0}, "exit_reason": "done", "maximize": maximize, "test_loss": 9.0}
    metric = {} if score is None else {"test_figure": score}
    return {"key": ["asgd", 4, "gamma", seed, "period=8", f"lr={lr}"], "lr": float(lr), **figures, **metric}


@pytest.mark.parametrize(
    ("candidates", "maximize", "wanted"),
    [
        ({"1": [0.5, 0.6], "0.1": [0.7, 0.6]}, True, "0.6500 ± 0.0707 (lr 0.1)"),
        ({"1": [0.5, 0.6], "0.1": [0.7, 0.6]}, False, "0.5500 ± 0.0707 (lr 1)"),
        (
            {"1": [0.9, None], "0.1": [0.2, 0.3]},
            True,
            "0.2500 ± 0.0707 (lr 0.1)",
        ),  # steady runs rank above better runs that partly diverge
        ({"1": [0.9, None], "0.1": [None, None]}, True, "0.9000 (lr 1) (1 diverged)"),
    ],
)
def test_the_best_value_is_shown_and_all_are_in_the_csv(tmp_path, candidates, maximize, wanted):
    all_runs = [
        run(s, lr, seed, maximize=maximize) for lr, scores in candidates.items() for seed, s in enumerate(scores)
    ]
    report = Report(all_runs, vary="period", tune="lr")
    assert f"| asgd | {wanted} |" in report.markdown()
    report.write_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [(row["period"], row["lr"], row["seed"]) for row in found] == [
        ("8", str(float(lr)), str(seed)) for lr in candidates for seed in (0, 1)
    ]


def test_results_of_other_options_are_not_shown_as_these(tmp_path):
    def cell(**values: object) -> comparison.Cell:
        return comparison.Cell("asgd", 2, "gamma", 0, tuple(values.items()))

    old = cell(lr=0.1, out=str(tmp_path / "runs"))
    comparison.write_rows(tmp_path, [{"key": list(old.key), "options": old.digest}])
    comparison.require_same_options([cell(lr=0.1, out="moved"), cell(lr=0.1, data_dir="/data")], tmp_path)
    with pytest.raises(UsageError, match="has results of other options: choose another --directory"):
        comparison.require_same_options([cell(lr=0.2)], tmp_path)
    run = tmp_path / "runs" / old.name
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(Config(lr=0.1).yaml())
    (run / "env.json").write_text('{"hogwild": "0"}')
    with pytest.raises(UsageError, match=r"other options \(lr 0\.1, now 0\.2\)"):
        comparison.require_same_options([cell(lr=0.2)], tmp_path)


def test_what_is_named_twice_is_run_once():
    given = compare.parser().parse(
        ["--algorithms", "asgd,ssgd,asgd", "--workers-list", "4,1,4", "--clocks", "gamma;;gamma", "--vary", "lr=1,1"]
    )
    found = (given.algorithms, given.workers_list, given.clocks, given.vary.values)
    assert found == (["asgd", "ssgd"], [4, 1], ["gamma"], ("1",))


def test_the_edge_of_the_grid_is_told_and_differences_are_paired():
    scores = {"asgd": {"0.1": 0.5, "0.2": 0.7, "1": 0.6}, "shifted": {"0.1": 0.8, "0.2": 0.7, "1": 0.6}}
    found = [
        {**run(score + 0.1 * seed, lr, seed), "key": [name, 4, "gamma", seed, f"lr={lr}"]}
        for name, values in scores.items()
        for lr, score in values.items()
        for seed in range(6)
    ]
    report = Report(found, tune="lr")
    assert report.edges() == ["shifted, N = 4, gamma: the best lr 0.1 is the least of the grid: try smaller ones"]
    assert "| shifted | better in 6 of 6, +0.1 ± 0" in report.markdown()
    assert "p = 0.031 |" in report.markdown()
    best = (("asgd", 0.2), ("shifted", 0.1))
    assert report.keys == {tuple(row["key"]) for row in found if (row["key"][0], row["lr"]) in best}
    assert Report(found[:6], tune="lr").edges() == [], "one value has no edge"


def test_the_help_has_the_grid_with_its_defaults_and_nothing_that_is_not_used(capsys):
    with pytest.raises(SystemExit):
        compare.main(["--help"])
    shown = capsys.readouterr().out
    assert "numbers of workers (default: 1,4,8,16,32,64)" in " ".join(shown.split())
    for flag in ("--workers ", "--seed ", "--respawn", "--start-method", "--resume", "--out "):
        assert f"\n  {flag}" not in shown
