"""Worker processes on tables: no update of a row is lost, and no worker has a copy of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hogwild
from hogwild.tasks.datasets.zipf import zipf_ratings
from hogwild.tasks.models.mf import MatrixFactorization


class Counted(nn.Module):
    """Two tables whose rows lose lr for every lookup, and a dense parameter that loses lr for every step."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.Embedding(9, 5, sparse=True) for _ in range(2))
        self.c = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.a.weight)
        nn.init.zeros_(self.b.weight)

    def forward(self, rows: Tensor) -> Tensor:
        return self.a(rows).sum() + 2 * self.b(rows + 1).sum() + self.c


STEPS = 40


def count(worker: hogwild.Worker) -> None:
    generator = torch.Generator().manual_seed(worker.rank)
    for _ in range(STEPS):
        rows = torch.randint(8, (6,), generator=generator)
        worker.step(worker.model(rows), samples=6)


@pytest.mark.parametrize("access", ["atomic", "striped", "locked"])
def test_two_processes_lose_no_update_of_a_row(tmp_path: Path, access: str):
    result = hogwild.launch(count, Counted, workers=2, lr=1.0, access=access, out=str(tmp_path))
    drawn = [torch.Generator().manual_seed(rank) for rank in range(2)]
    rows = torch.cat([torch.randint(8, (6,), generator=g) for g in drawn for _ in range(STEPS)])
    counts = torch.bincount(rows, minlength=9).float()
    assert torch.equal(result.model.a.weight, -counts[:, None].expand(9, 5))
    assert torch.equal(result.model.b.weight, -2 * counts.roll(1)[:, None].expand(9, 5))
    assert result.model.c.item() == -2 * STEPS
    assert result.summary["updates"] == 2 * STEPS
    assert 1 < result.summary["unique_rows_per_push"] <= 12


class Words(nn.Module):
    """Tables and nothing else; `rows` of them, 128 bytes each."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, 32, sparse=True)

    def forward(self, rows: Tensor) -> Tensor:
        return self.table(rows).square().sum()


class Large(Words):
    def __init__(self) -> None:
        super().__init__(400_000)


class Small(Words):
    def __init__(self) -> None:
        super().__init__(1_000)


def measure(worker: hogwild.Worker) -> None:
    """Steps, then writes the private memory of this process in MB into the current directory."""
    for step in range(5):
        worker.step(worker.model(torch.arange(step, 1_000, 7)))
    rollup = Path("/proc/self/smaps_rollup").read_text()
    private_kb = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Anonymous:"))
    Path(f"{type(worker.model).__name__}-{worker.rank}").write_text(str(private_kb / 1024))


@pytest.mark.slow
def test_the_memory_of_a_worker_does_not_depend_on_the_size_of_a_table(tmp_path: Path, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    for model in (Large, Small):
        hogwild.launch(measure, model, workers=2, lr=0.1, table_rule="adam", out=str(tmp_path))
    large, small = ([float(Path(f"{name}-{rank}").read_text()) for rank in range(2)] for name in ("Large", "Small"))
    assert max(large) - min(small) < 20, "a table of 49 MB, its v and q as much each"


def factors() -> nn.Module:
    return MatrixFactorization(300, 200, 8)


def test_two_processes_factorise_a_matrix(tmp_path: Path):
    """Untrained the error is the spread of the ratings, 1.04; the smallest possible one is 0.3."""
    data = zipf_ratings(300, 200, 6_000)
    values = {"workers": 2, "batch_size": 32, "epochs": 5, "eval_every": 0, "out": str(tmp_path)}
    summary = hogwild.fit(factors, data, algorithm="adamw", lr=0.01, table_lr=0.3, **values).summary
    assert summary["test_rmse"] < 0.97
    assert summary["updates"] == 5 * 169
    assert 10 < summary["unique_rows_per_push"] < 64
    assert 0 < summary["row_delay"] < 4
    assert 0 < summary["row_delay_expected"] < 1
