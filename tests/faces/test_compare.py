"""hogwild compare: every cell once, finished cells kept, tables that say what was run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hogwild.errors import UsageError
from hogwild.faces import compare

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

    lines = first.splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join(lines[:5]) + lines[5][:20])  # killed while writing the sixth
    assert compare.main(argv) == 0
    assert sorted(json.dumps(row["key"]) for row in compare_rows(tmp_path)) == sorted(
        json.dumps(json.loads(line)["key"]) for line in lines
    )
    table = (tmp_path / "table.md").read_text()
    assert "| algorithm | N = 1 | N = 4 |" in table
    assert "±" in table
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 9
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "shifted" in capsys.readouterr().out


def compare_rows(folder: Path) -> list[dict[str, object]]:
    from hogwild.drivers.comparison import read

    return read(folder)


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
    ],
)
def test_mistakes_end_before_any_run(tmp_path, argv, message):
    with pytest.raises(UsageError, match=message):
        compare.main([*argv, "--directory", str(tmp_path)])
    assert not (tmp_path / "results.jsonl").exists()
