"""The benchmarks run and check their results, and a quick run does not count as a measurement."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_quick_run_is_reported_but_never_recorded(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["HOGWILD_BENCH"] = "quick"
    environment.pop("HOGWILD_DATA", None)
    file = tmp_path / "bench.json"
    command = [sys.executable, "-m", "pytest", "bench", "-q", "-p", "no:cacheprovider", f"--benchmark-json={file}"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:]
    results = ROOT / "bench" / "results"
    recorded = sorted(results.glob("*"))

    command = [sys.executable, "-m", "bench.report", str(file)]
    report = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert report.returncode == 1
    assert "not recorded: HOGWILD_BENCH=quick" in report.stderr
    for title in (
        "Push: gap + shifted momentum",
        "Mix: elastic exchange",
        "Mix: elastic step",
        "Fused rules",
        "Access policies",
        "Compute between pushes",
        "Pair averages",
        "Trainer",
        "Simulator",
        "Full Normalization",
        "Sparse push",
    ):
        assert f"## {title}" in report.stdout
    assert sorted(results.glob("*")) == recorded
