"""hogwild.fit and hogwild.launch: as a user's own program would call them."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
import torch
import warm

import hogwild
from hogwild.errors import UsageError
from hogwild.runs import timeline

STEPS, PAUSE_S = 30, 0.02  # steps of the loop that sleeps


def model() -> torch.nn.Module:
    return torch.nn.Linear(4, 3)


def regression_model() -> torch.nn.Module:
    return torch.nn.Linear(4, 1)


def mean_squared_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.mse_loss(output, target)


def sum_of_squares(output: torch.Tensor, target: torch.Tensor) -> tuple[float, int]:
    return float(((output - target) ** 2).sum()), target.numel()


def samples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 4, generator=generator)
    weights = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs @ weights).argmax(1)


def test_fit_trains_a_classifier(tmp_path: Path):
    result = hogwild.fit(
        model, (samples(1000, 1), samples(300, 2)), algorithm="shifted", workers=2, epochs=30, batch_size=10, lr=0.1,
        momentum=0.5, out=str(tmp_path),
    )  # fmt: skip
    assert result.summary["test_accuracy"] > 0.95
    assert result.summary["workers"] == 2
    inputs, targets = samples(300, 2)
    accuracy = (result.model(inputs).argmax(1) == targets).float().mean().item()
    assert accuracy == pytest.approx(result.summary["test_accuracy"])


def test_fit_takes_an_own_loss_and_score(tmp_path: Path):
    inputs = torch.randn(400, 4, generator=torch.Generator().manual_seed(1))
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    dataset = (torch.utils.data.TensorDataset(inputs[:300], targets[:300]), (inputs[300:], targets[300:]))
    result = hogwild.fit(
        regression_model, dataset, mean_squared_error, score_fn=sum_of_squares, metric="mse", workers=2, epochs=20,
        batch_size=10, lr=0.05, out=str(tmp_path),
    )  # fmt: skip
    assert result.summary["test_mse"] < 1e-3


def test_fit_simulates_when_it_is_given_a_clock(tmp_path: Path):
    data = (samples(1000, 1), samples(300, 2))
    results = [
        hogwild.fit(model, data, workers=8, clock="gamma", epochs=10, batch_size=10, lr=0.1, out=str(tmp_path))
        for _ in range(2)
    ]
    assert results[0].summary["delay"]["mean"] == pytest.approx(7, abs=0.1)
    assert results[0].summary["test_loss"] == results[1].summary["test_loss"]
    inputs, targets = samples(300, 2)
    accuracy = (results[0].model(inputs).argmax(1) == targets).float().mean().item()
    assert accuracy == pytest.approx(results[0].summary["test_accuracy"])


def own_loop(worker: hogwild.Worker) -> None:
    inputs, targets = samples(1000, 1)
    generator = torch.Generator().manual_seed(worker.rank)
    for _ in range(200):
        batch = torch.randint(1000, (10,), generator=generator)
        worker.step(torch.nn.functional.cross_entropy(worker.model(inputs[batch]), targets[batch]), samples=10)


@pytest.mark.parametrize("algorithm", ["asgd", "ssgd"])
def test_launch_runs_an_own_loop_in_every_worker(tmp_path: Path, algorithm: str):
    result = hogwild.launch(own_loop, model, algorithm=algorithm, workers=2, lr=0.2, out=str(tmp_path))
    assert result.summary["updates"] == (200 if algorithm == "ssgd" else 400)
    inputs, targets = samples(300, 2)
    assert (result.model(inputs).argmax(1) == targets).float().mean() > 0.9


def slow_loop(worker: hogwild.Worker) -> None:
    """Writes to the worker's log the cores that it may use; sleeps between updates."""
    print(sorted(os.sched_getaffinity(0)), flush=True)
    inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(worker.rank))
    for _ in range(STEPS):
        time.sleep(PAUSE_S)
        worker.step((worker.model(inputs) ** 2).mean(), samples=3)


def test_pinned_workers_may_use_their_core_only(tmp_path: Path):
    """The cores are assigned in turn, in the given order: three workers on two cores."""
    cores = sorted(os.sched_getaffinity(0), reverse=True)[:2]
    result = hogwild.launch(slow_loop, model, workers=3, lr=0.1, pin=",".join(map(str, cores)), out=str(tmp_path))
    logs = [(Path(result.path) / "workers" / f"{rank}.log").read_text() for rank in range(3)]
    assert [json.loads(log) for log in logs] == [[cores[rank % len(cores)]] for rank in range(3)]


def test_the_closing_lines_tell_gradients_from_updates(tmp_path: Path):
    """A sleep before an update counts as time of the gradient: at least the sleeps, on a machine of any load."""
    result = hogwild.launch(slow_loop, model, workers=2, lr=0.1, out=str(tmp_path))
    lines = map(json.loads, (Path(result.path) / "metrics.jsonl").read_text().splitlines())
    ended = [line for line in lines if line.get("event") == "ended" and "worker" in line]
    assert len(ended) == 2
    for line, track in zip(ended, timeline.read(Path(result.path) / "timeline.bin"), strict=True):
        for name, seconds in track.seconds().items():
            assert seconds == pytest.approx(line[f"{name}_s"], rel=0.01)
        assert line["gradient_s"] >= STEPS * PAUSE_S
        assert line["update_s"] > 0


def unequal_loop(worker: hogwild.Worker) -> None:
    inputs = torch.randn(4, 4, generator=torch.Generator().manual_seed(worker.rank))
    for _ in range(6 if worker.rank else 12):
        worker.step((worker.model(inputs) ** 2).mean(), samples=4)


def test_a_worker_that_returns_leaves_the_update_to_those_that_are_left(tmp_path: Path):
    """Each update takes the gradients of both workers: six together, then six of the remaining worker."""
    result = hogwild.launch(
        unequal_loop, model, algorithm="k-sync", access="locked", workers=2, lr=0.1, out=str(tmp_path)
    )
    assert result.summary["updates"] == 12


def test_code_that_workers_cannot_import_is_refused_at_once(tmp_path: Path):
    data = (samples(100, 1), samples(10, 2))
    with pytest.raises(
        UsageError, match=r"the workers cannot import the model, the data or the algorithm.*Define them at module level"
    ):
        hogwild.fit(lambda: torch.nn.Linear(4, 3), data, workers=1, batch_size=10, out=str(tmp_path))


def test_a_program_of_ones_own(tmp_path: Path):
    """The README's example: functions of __main__ can be sent to the workers."""
    program = tmp_path / "mine.py"
    program.write_text(
        "import torch, hogwild\n"
        "def model():\n"
        "    return torch.nn.Linear(8, 2)\n"
        "if __name__ == '__main__':\n"
        "    x = torch.randn(500, 8); y = (x.sum(1) > 0).long()\n"
        "    result = hogwild.fit(model, ((x, y), (x, y)), workers=2, epochs=20, batch_size=10, lr=0.1)\n"
        "    print(result.summary['test_accuracy'])\n"
    )
    done = warm.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=True
    )
    assert float(done.stdout) > 0.9


def test_launch_has_no_passes_that_a_graph_could_hold(tmp_path: Path):
    for name, value in {"cuda_graph": True, "compile": True, "channels_last": True, "amp": "bf16"}.items():
        with pytest.raises(UsageError, match=f"launch leaves the forward pass to your own loops: {name} is for"):
            hogwild.launch(own_loop, model, workers=1, out=str(tmp_path), **{name: value})
    assert not list(tmp_path.iterdir())
