"""The GPU script without a GPU: its parts run on CPU tensors, its results are right, its processes end with it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from slow import slow

from bench.gpu import __main__ as script
from bench.gpu import part as parts
from bench.gpu import plan, runner
from bench.gpu.journal import Journal
from bench.gpu.model import Model, resnet50_sizes, scaled
from bench.gpu.report import write
from bench.gpu.targets import targets

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def test_a_plan_includes_the_time_of_its_imports() -> None:
    code = "import time; time.sleep(1); from bench.gpu import __main__ as m; print(time.monotonic() - m.started_at())"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert float(run.stdout) > 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_without_a_gpu_it_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main([]) == 2
    said, error = capsys.readouterr()
    assert said == ""
    assert error.startswith("bench.gpu: no GPU to measure")
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["facts", slow("push"), slow("calls"), "counters", "gaps", "mixes", "places"])
def test_a_part_runs_dry(name: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "results.jsonl")
    parts.main([name, str(journal.file), DEVICE, "dry"])
    rows = journal.results()[name]["rows"]
    assert rows
    for row in rows:
        assert row["name"]
        if "seconds" in row:
            assert min(row["seconds"]) > 0
            assert row["gbps"] > 0
            assert row["of_copy"] > 0
    write(journal.results(), tmp_path, is_dry=True)
    report = (tmp_path / "report.md").read_text()
    assert report.startswith("# A dry run: no figure below is a measurement")
    assert "| met |" not in report


def test_every_part_of_a_plan_is_known_and_fits_into_its_time() -> None:
    known = plan.parts(DEVICE, is_dry=False)
    for part in known:
        if "bench.gpu.part" in part.command:
            assert part.name in parts.PARTS
    assert {part.name for part in known} >= parts.PARTS.keys()
    budgets = {part.name: part.budget_s for part in known}
    for name, chosen in plan.PLANS.items():
        own = [part for part in chosen.names if part != "build" and (name == "first" or part not in plan.FIRST)]
        assert sum(budgets[part] for part in own) <= chosen.seconds - plan.RESERVE_S
    assert (plan.PLANS["first"].seconds, plan.PLANS["second"].seconds) == (300, 240)
    assert plan.PLANS["first"].names[:2] == ("build", "smoke")
    assert plan.PLANS["second"].names[-1] == known[-1].name == "MPS"


def test_tests_on_a_gpu_do_not_fail_for_warnings() -> None:
    """A build of torch with CUDA warns of more than one without it, and our own files turn warnings into errors."""
    (tests,) = [part for part in plan.parts("cuda", is_dry=False) if part.name == "tests"]
    assert "-W default" in " ".join(tests.command)


@pytest.mark.slow
def test_one_part_through_the_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "started_at", time.monotonic)  # this process is older than a script may be
    options = ["--dry-run", "--parts", "facts,build", "--out", str(tmp_path)]
    assert script.main(options) == 0
    assert "facts" in capsys.readouterr().out
    results = Journal(tmp_path / "results.jsonl").results()
    assert results["facts"]["status"] == "done"
    assert [row["name"] for row in results["facts"]["rows"]] == ["host", "device"]
    assert (results["build"]["status"], results["build"]["reason"]) == ("left out", "a dry run")
    assert "==== facts" in (tmp_path / "log.txt").read_text()
    assert script.main(options) == 0
    assert "facts              done before" in capsys.readouterr().out


def test_an_unknown_part_and_a_folder_of_other_results_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--dry-run", "--parts", "fact", "--out", str(tmp_path)]) == 2
    assert "no part fact; there are build, smoke" in capsys.readouterr().err
    Journal(tmp_path / "results.jsonl").begin(is_dry=False)
    assert script.main(["--dry-run", "--parts", "facts", "--out", str(tmp_path)]) == 2
    assert "results.jsonl holds results of measurements: give another folder" in capsys.readouterr().err


def test_the_build_is_left_out_where_the_module_has_code_for_the_gpu() -> None:
    build, *_ = plan.parts("cuda", is_dry=False, is_built=True)
    assert (build.name, build.left_out) == ("build", "the module has code for this GPU")
    assert plan.parts("cuda", is_dry=False)[0].left_out is None
    assert not script.is_built((99, 0))
    assert runner.environment((9, 0))["HOGWILD_CUDA_ARCHS"] == "90a"
    assert runner.environment((8, 6))["HOGWILD_CUDA_ARCHS"] == "86"


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
        *({"group": "smoke", "name": str(k), "verdict": "PASS"} for k in range(10)),
        row("gap", 1.8, of_copy=0.90),
        row("gap", 7.2, n=1 << 26, of_copy=0.93),
        row("gap", 6.5e-6, n=1 << 16),
        row("copy_ of 36 B", 1.0, n=1 << 26) | {"gbps": 4000.0},
        row("gap, one C", 1.5),
        row("gap, one C", 6.0, n=1 << 26, of_copy=0.97),
        row("plain", 3.0, n=1 << 26, of_copy=0.81),
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
        "smoke: checks that passed": "met",
        "gap push (36 B) of >= 64 M: share of a copy of as many bytes": "missed",
        "the same with one C (28 B)": "met",
        "heavy ball with snapshot (28 B)": "not measured",
        "plain push (12 B)": "missed",
        "fixed cost of a push, us": "met",
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
    assert found["gap push (36 B) of >= 64 M: share of a copy of as many bytes"].measured == 0.93
    assert found["fixed cost of a push, us"].measured == pytest.approx(6.5 - 36 * (1 << 16) / 4e12 * 1e6)
