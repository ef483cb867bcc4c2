"""The GPU script without a GPU: its parts run on CPU tensors, its results are right, its processes end with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from bench.gpu import __main__ as script
from bench.gpu import part as parts
from bench.gpu.model import Model, resnet50_sizes, scaled
from bench.gpu.plan import Part, plan
from bench.gpu.report import write
from bench.gpu.targets import targets

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_without_a_gpu_it_says_so_in_one_line() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench.gpu"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("bench.gpu: no GPU to measure")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["facts", "push", "calls", "gaps", "mixes", "places", "trainer under MPS"])
def test_a_part_runs_dry(name: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    parts.main([name, str(file), DEVICE, "dry"])
    rows = json.loads(file.read_text())
    assert rows
    for row in rows:
        assert row["name"]
        if "seconds" in row:
            assert min(row["seconds"]) > 0
            assert row["gbps"] > 0
    write({name: {"status": "done", "seconds": 1.0, "rows": rows}}, tmp_path, is_dry=True)
    report = (tmp_path / "report.md").read_text()
    assert report.startswith("# A dry run: no figure below is a measurement")
    assert "| met |" not in report


def test_every_part_of_the_plan_is_known_and_the_time_is_limited() -> None:
    for part in plan(DEVICE, is_dry=True):
        if "bench.gpu.part" in part.command:
            assert part.name in parts.PARTS
    assert {part.name for part in plan(DEVICE, is_dry=False)} >= parts.PARTS.keys()


def test_one_part_through_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--dry-run", "--parts", "facts,build", "--out", str(tmp_path)]) == 0
    assert "facts" in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["facts"]["status"] == "done"
    assert [row["name"] for row in results["facts"]["rows"]] == ["host", "device"]
    assert (results["build"]["status"], results["build"]["reason"]) == ("left out", "a dry run")
    assert "==== facts" in (tmp_path / "log.txt").read_text()


def test_a_part_that_takes_too_long_is_stopped_with_its_processes_and_its_rows_stay(tmp_path: Path) -> None:
    code = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(json.dumps([{"group": "a", "name": str(child.pid)}]))
time.sleep(60)
"""
    part = Part("slow", 3.0, (sys.executable, "-c", code, "ROWS"))
    result = script.carry_out(part, time.monotonic() + 60, tmp_path / "log.txt", script.environment(None))
    assert result["status"].startswith("stopped after")
    child = int(result["rows"][0]["name"])
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the part's child lives on"
        time.sleep(0.01)


def test_a_part_that_fails_or_has_no_time_left_is_reported(tmp_path: Path) -> None:
    part = Part("broken", 10.0, (sys.executable, "-c", "print('why'); raise SystemExit(3)"))
    result = script.carry_out(part, time.monotonic() + 60, tmp_path / "log.txt", script.environment(None))
    assert (result["status"], result["rows"]) == ("failed with exit code 3", [])
    assert "why" in result["tail"]
    late = script.carry_out(part, time.monotonic(), tmp_path / "log.txt", script.environment(None))
    assert (late["status"], late["reason"]) == ("left out", "no time left")


def test_it_is_built_for_the_present_gpu() -> None:
    assert script.environment((9, 0))["HOGWILD_CUDA_ARCHS"] == "90a"
    assert script.environment((8, 6))["HOGWILD_CUDA_ARCHS"] == "86"


def test_the_161_tensors() -> None:
    sizes = resnet50_sizes()
    assert (len(sizes), sum(sizes)) == (161, 25_557_032)
    assert abs(sum(scaled(1 << 20)) - (1 << 20)) < 161 * 2


def test_the_foreach_chain_is_the_same_algorithm() -> None:
    assert Model(scaled(4099), CPU).check_foreach() < 1e-5


def row(name: str, seconds: float, n: int = 1 << 24, group: str = "push", of_copy: float = 1.0) -> dict[str, object]:
    return {"group": group, "name": name, "n": n, "seconds": [seconds] * 3, "of_copy": of_copy}


def test_targets_are_compared_with_the_measurements() -> None:
    lists = "push of 161 tensors"
    rows = [
        row("gap", 1.8, of_copy=0.96),
        row("gap", 7.2, n=1 << 26, of_copy=0.93),
        row("gap, one C", 1.5, of_copy=0.97),
        row("torch SGD, fused", 1.0),
        row("torch SGD, fused", 4.0, n=1 << 26),
        row("gap, atomic", 1.9),
        row("gap", 1.0, n=1 << 20, group=lists),
        row("torch SGD, fused", 1.5, n=1 << 20, group=lists),
        row("foreach chain", 1.9, n=1 << 20, group=lists),
        {"group": "calls", "name": "push, gap, guard element", "n": 1 << 20, "host_s": [9e-6, 8e-6, 20e-6]},
        {
            "group": "launches",
            "name": "push, gap, guard element",
            "kernels": 1.0,
            "copies": 0.0,
            "fills": 0.0,
            "waits": 0,
        },
        {"group": "access", "name": "atomic x 4", "n": 1 << 20, "lost": [0.0, 1e-7]},
        {"group": "trainer", "name": "1 workers", "test_accuracy": 0.9},
        {"group": "trainer", "name": "2 workers", "test_accuracy": 0.895},
    ]
    found = {target.what: target for target in targets(rows)}
    verdicts = {what: target.verdict for what, target in found.items()}
    assert verdicts == {
        "gap push (36 B) of >= 16 M: share of the copy's GB/s": "missed",
        "the same with one C (28 B)": "met",
        "gap push: time over fused SGD's (20 B), per byte": "met",
        "the same with one C: time over fused SGD's": "missed",
        "161 tensors, <= 4 M: fused SGD's time over the gap push's": "met",
        "161 tensors, any n: foreach chain's time over the gap push's": "missed",
        "atomic over racing, time, >= 16 M": "met",
        "atomic, 4 processes: largest share of updates lost": "missed",
        "kernels per push of 161 tensors (guard element)": "met",
        "copies and fills per push": "met",
        "waits of the host per push": "met",
        "host time per push of 161 tensors, us": "met",
        "test accuracy of 2 workers less that of 1": "met",
        "test accuracy of 4 workers less that of 1": "not measured",
    }
    assert found["gap push (36 B) of >= 16 M: share of the copy's GB/s"].measured == 0.93
