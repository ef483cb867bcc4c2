"""Runs with tables on a GPU: the course of the same run on the CPU, guard, clip, resume, workers. Needs a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from table_runs import ITEMS, NotFinite, OfTable, Pairs, run, tables

from hogwild.drivers.checkpoints import store
from hogwild.kernels import build_info

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]

RULES: dict[str, dict[str, Any]] = {
    "sgd": {"row_max_norm": 0.9, "clip": 0.3},
    "momentum": {"momentum": 0.7, "table_catch_up": True, "lr": 0.02},
    "adagrad": {"weight_decay": 0.05, "table_decay": "lazy"},
    "row-adagrad": {"weight_decay": 0.05, "table_decay": "catch-up"},
    "adam": {"access": "atomic"},
}


def close(found: Any, expected: Any) -> None:
    """Both drivers have the same tables, state and versions; floats up to their rounding."""
    on_gpu, on_cpu = tables(found), tables(expected)
    assert on_gpu.keys() == on_cpu.keys()
    for name, tensor in on_gpu.items():
        assert tensor.is_cuda
        torch.testing.assert_close(tensor.cpu(), on_cpu[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_a_run_has_the_course_of_the_run_on_the_cpu(tmp_path: Path, rule: str) -> None:
    values = {"algorithm": "asgd", "clock": "round-robin", "workers": 3, "table_rule": rule, "lr": 0.1, **RULES[rule]}
    summaries, drivers = zip(
        *(run(tmp_path, name=device, device=device, **values) for device in ("cuda", "cpu")), strict=True
    )
    close(*drivers)
    counts = ("updates", "refused", "unique_rows_per_push", "row_delay", "shared_rows", "row_delay_histogram")
    assert [summaries[0][key] for key in counts] == [summaries[1][key] for key in counts]
    assert summaries[0]["row_delay"] > 0.2
    assert summaries[0]["test_mean_squared_error"] == pytest.approx(summaries[1]["test_mean_squared_error"], rel=1e-3)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    values = {"algorithm": "asgd", "workers": 1, "clock": "round-robin", "table_rule": "adam", "device": "cuda"}
    _, whole = run(tmp_path, name="whole", updates=24, **values)
    _, half = run(tmp_path, name="half", updates=11, **values)
    _, resumed = run(tmp_path, **{**half.config.values(), "resume": str(half.directory.path), "updates": 24})
    for name, tensor in tables(whole).items():
        assert torch.equal(tensor, tables(resumed)[name]), name
    saved = store.load(half.directory.ckpt).state["tables"]
    assert not any(tensor.is_cuda for tensor in saved.values())


@pytest.mark.parametrize("model", [NotFinite, OfTable])
def test_a_part_that_is_not_finite_refuses_the_whole_push(tmp_path: Path, model: type[Pairs]) -> None:
    values = {"workers": 1, "algorithm": "sgd", "clock": "round-robin", "batch_size": 1, "updates": 40}
    summary, driver = run(tmp_path, lambda _: model(), on_nonfinite="skip", device="cuda", **values)
    now = tables(driver)
    assert 0 < summary["refused"] < 20
    assert summary["updates"] + summary["refused"] == 40
    assert all(torch.isfinite(tensor).all() for tensor in now.values())
    assert int(now["table-version:items.weight"][ITEMS - 1]) == 0


def test_workers_push_rows_of_one_table(tmp_path: Path) -> None:
    summary, driver = run(tmp_path, algorithm="adamw", workers=2, device="cuda", access="atomic", lr=0.02, epochs=8)
    counted = driver.world.tables.counts(driver.world.arena).sum(0).cpu()
    assert int(counted[0]) == summary["updates"] == 80
    assert all(torch.isfinite(tensor).all() for tensor in tables(driver).values())
    assert int(tables(driver)["table-version:items.weight"].sum()) > 80
