"""The smoke part, the counters and the meeting of two clients, without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.gpu import counters, mps, smoke
from bench.gpu.journal import Journal

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
NEED_GPU = {"captured", "cooperative", "mapped shards", "pinned host"}
CSV = """==PROF== Connected to process 1
==PROF== Disconnected
"ID","Process ID","Kernel Name","Section Name","Metric Name","Metric Unit","Metric Value"
"0","1","void hogwild::cuda::push_kernel<hogwild::Push<hogwild::FiniteOnly>, float>(const hogwild::Work)",\
"GPU Speed Of Light Throughput","Duration","us","579.2"
"0","1","void hogwild::cuda::push_kernel<hogwild::Push<hogwild::FiniteOnly>, float>(const hogwild::Work)",\
"GPU Speed Of Light Throughput","Memory Throughput","%","92.1"
"0","1","void hogwild::cuda::push_kernel<hogwild::Push<hogwild::FiniteOnly>, float>(const hogwild::Work)",\
"Memory Workload Analysis","Memory Throughput","Tbyte/s","4.11"
"0","1","void hogwild::cuda::push_kernel<hogwild::Push<hogwild::FiniteOnly>, float>(const hogwild::Work)",\
"Memory Workload Analysis","Of no interest","%","1"
"1","1","sum_kernel","Warp State Statistics","Warp Cycles Per Issued Instruction","cycle","31.5"
""".replace("\\\n", "")


@pytest.mark.slow
def test_ten_checks_each_in_a_process_of_its_own(tmp_path: Path) -> None:
    """In a fresh interpreter, as in the script: forks of one with many threads may hang."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "bench.gpu.part", "smoke", str(tmp_path / "results.jsonl"), "cpu", "dry"]
    subprocess.run(command, env=environment, check=True, timeout=110, stdout=subprocess.DEVNULL)
    rows = Journal(tmp_path / "results.jsonl").results()["smoke"]["rows"]
    assert {row["name"]: row["verdict"] for row in rows} == {
        name: "left out" if name in NEED_GPU else "PASS" for name in smoke.CHECKS
    }
    assert len(smoke.CHECKS) == 10


def fails(_: torch.device) -> None:
    raise AssertionError("x: 3 of 7 elements differ")


def hangs(_: torch.device) -> None:
    time.sleep(60)


def dies(_: torch.device) -> None:
    os._exit(7)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (fails, "AssertionError: x: 3 of 7 elements differ"),
        (hangs, "no answer within 1 s"),
        (dies, "the process ended with exit code 7"),
    ],
)
def test_a_check_that_fails_hangs_or_dies_is_a_row(
    check: smoke.Check, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(smoke.CHECKS, "racing", check)
    began = time.monotonic()
    assert smoke.attempt("racing", CPU, 1.0 if check is hangs else 60.0) == ("FAIL", reason)
    assert time.monotonic() - began < 50


def test_a_wrong_element_fails_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(smoke.Push):
        def __call__(self, grads, **scalars):  # type: ignore[no-untyped-def]
            stats = super().__call__(grads, **scalars)
            if not made:
                self._buffers["x"][33] += 1e-6
            made.append(self)
            return stats

    made: list[smoke.Push] = []
    monkeypatch.setattr(smoke, "Push", Wrong)
    with pytest.raises(AssertionError, match=r"x: 1 of \d+ elements differ"):
        smoke.racing(CPU)


def test_what_is_read_of_a_profile() -> None:
    found = list(counters.parse(CSV))
    assert found == [
        (
            0,
            "void push_kernel<Push<FiniteOnly>, float>",
            {"Duration": "579.2 us", "Memory Throughput": "92.1 %", "Memory Throughput, Tbyte/s": "4.11 Tbyte/s"},
        ),
        (1, "sum_kernel", {"Warp Cycles Per Issued Instruction": "31.5 cycle"}),
    ]
    assert list(counters.parse("==ERROR== ERR_NVGPUCTRPERM")) == []


def client(body: str) -> list[str]:
    return [sys.executable, "-c", f"import sys, time\nprint('ready', flush=True)\nsys.stdin.readline()\n{body}"]


@pytest.mark.slow
def test_two_clients_meet_and_a_hang_is_told() -> None:
    assert mps.meet(client("print('done', flush=True)"), 2, {}, 60) == ""
    assert mps.meet(client("time.sleep(60)"), 2, {}, 3) == "a client said 'nothing in time' instead of 'done'"
    assert "no device" in mps.meet(client("sys.exit('no device')"), 2, {}, 60)
