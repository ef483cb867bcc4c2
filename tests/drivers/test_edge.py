"""The live edge ratio: correct for known curvatures, reported when it is too large, without effect on the training."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hogwild
from hogwild.config import Config
from hogwild.drivers.instruments.edge import SAMPLES
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.job import make_job
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.errors import UsageError
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.tasks import build_model, load
from hogwild.tasks.data import Data
from hogwild.theory import stability

N = SAMPLES  # the batch of the curvature is the whole training set
DELAY = 5


def features() -> Tensor:
    """[N, 6] with second moments 4, 2, ... along the axes: the curvature of half the mean square is 4."""
    x = torch.randn(N, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    columns, _ = torch.linalg.qr(x)
    return (columns * torch.tensor([4.0, 2.0, 1.0, 0.5, 0.2, 0.1]).double().sqrt() * N**0.5).float()


def regression() -> tuple[Any, Any]:
    x = features()
    y = x @ torch.tensor([1.0, -2.0, 0.5, 3.0, 1.0, -1.0])[:, None]
    return (x, y), (x[:50], y[:50])


def line() -> nn.Module:
    return nn.Linear(6, 1, bias=False)


def half_mean_square(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().mean() / 2


def squares(output: Tensor, target: Tensor) -> tuple[float, int]:
    return float((output - target).square().sum()), target.numel()


def fit(
    tmp_path: Path, share: float, rule: str = "none", **options: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(summary, edge lines) of full-batch descent under a constant delay, at `share` of the largest stable lr."""
    momentum = float(options.get("momentum", 0.0))
    threshold = stability.threshold(rule, DELAY, momentum, float(options.get("dampening", 0.0)))
    result = hogwild.fit(
        line, regression(), half_mean_square, score_fn=squares, metric="mse", workers=1, batch_size=N, updates=80,
        clock=f"const:{DELAY}", lr=share * threshold / 4.0, edge_every=20, eval_every=0, out=str(tmp_path), **options,
    )  # fmt: skip
    lines = [json.loads(text) for text in (Path(result.path) / "metrics.jsonl").read_text().splitlines()]
    return result.summary, [line for line in lines if line["kind"] == "edge"]


RULES: list[tuple[str, dict[str, Any]]] = [
    ("none", {}),
    ("standard", {"momentum": 0.9}),
    ("shifted", {"momentum": 0.9, "dampening": 0.9, "momentum_kind": "shifted"}),
    ("dana", {"momentum": 0.5, "momentum_kind": "dana"}),
]


@pytest.mark.parametrize(("rule", "options"), RULES)
def test_below_the_edge_the_ratio_is_known_and_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, options: dict[str, Any]
):
    summary, lines = fit(tmp_path, 0.7, rule, **options)
    assert [line["updates"] for line in lines] == [20, 40, 60, 80]
    for edge in lines[1:]:  # the first delays of a run are shorter
        assert edge["curvature"] == pytest.approx(4.0, rel=1e-3)
        assert edge["converged"]
        assert edge["delay_mean"] == DELAY
        assert edge["ratio"] == pytest.approx(0.7, rel=1e-3)
        assert edge["ratio"] == pytest.approx(edge["curvature"] * edge["lr"] / edge["threshold"], rel=1e-12)
    assert summary["edge"]["ratio"] == lines[-1]["ratio"]
    assert summary["edge"]["largest"] == max(line["ratio"] for line in lines)
    assert summary["edge"]["measurements"] == 4
    assert 0 < summary["edge"]["share"] < 1
    assert "edge" not in capsys.readouterr().err


@pytest.mark.parametrize(("rule", "options"), RULES)
def test_above_the_edge_there_is_one_warning_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, options: dict[str, Any]
):
    _, lines = fit(tmp_path, 1.3, rule, **options)
    assert lines[-1]["ratio"] == pytest.approx(1.3, rel=1e-3)
    warnings = [text for text in capsys.readouterr().err.splitlines() if "edge ratio" in text]
    assert len(warnings) == 1
    assert f"rule {rule}, momentum {options.get('momentum', 0):g}" in warnings[0]
    assert "Lower --lr below" in warnings[0]
    assert ("or use --algorithm shifted" in warnings[0]) == (rule == "standard")
    lr = float(warnings[0].split("Lower --lr below ")[1].split(",")[0])
    assert lr == pytest.approx(lines[0]["lr"] / lines[0]["ratio"], rel=1e-2)


def simulator(tmp_path: Path, factory: Any = None, **values: Any) -> tuple[Simulator, RunDirectory]:
    base = {"out": str(tmp_path), "name": "run", "quiet": True, "clock": "gamma", "workers": 4, "epochs": 2}
    config = Config.from_values({**base, **values})
    run = RunDirectory.create(config)
    job = make_job(config, load(config.data), factory or partial(build_model, config.model))
    return Simulator(job, run, Console(quiet=True, log=run.log)), run


def test_another_warning_when_the_ratio_has_doubled(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    simulated, run = simulator(tmp_path, edge_every=10)
    edge, stats = simulated.report.edge, Statistics.of(simulated.world)
    lr = 1e-9
    for turn, factor in enumerate((1.0, 1.1, 1.9, 2.5, 1.2, 4.0, 5.5)):
        delays = (0, 0, 0, 10 * (turn + 1), *stats.delays[4:])
        edge.measure(
            simulated.module, replace(stats, delays=delays, version=10 * (turn + 1)), lr * factor, lambda: None
        )
        if turn == 0:
            assert edge.ratio is not None
            lr /= edge.ratio  # where the ratio is about 1
    run.close()
    ratios = [float(text.split()[4]) for text in capsys.readouterr().err.splitlines()]
    assert ratios == pytest.approx([1.1, 2.5, 5.5], rel=0.05)


def net(_data: Data) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Dropout(0.2), nn.Linear(12, 10)
    )


def test_a_measured_run_is_the_same_run(tmp_path: Path):
    """No bit of the training changes, and two measured runs write the same lines."""
    found = []
    for name, every in (("off", 0), ("on", 7), ("again", 7)):
        simulated, run = simulator(tmp_path, net, name=name, edge_every=every, momentum=0.5)
        summary = simulated.run()
        run.close()
        metrics = (run.path / "metrics.jsonl").read_text()
        found.append((simulated.world.arena.tensor("x").clone(), (run.path / "pushes.csv").read_text(), metrics))
        assert ("edge" in summary) == (every > 0)
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert found[1][2] == found[2][2]
    rest = [text for text in found[1][2].splitlines() if '"kind": "edge"' not in text]
    assert rest == found[0][2].splitlines()
    assert len(found[1][2].splitlines()) - len(rest) == 90 // 7


@pytest.mark.slow
def test_two_processes_are_measured(tmp_path: Path):
    config = Config.from_values(
        {"out": str(tmp_path), "quiet": True, "workers": 2, "epochs": 30, "edge_every": 1, "eval_every": 0}
    )
    run = RunDirectory.create(config)
    try:
        job = make_job(config, load(config.data), partial(build_model, config.model))
        summary = Trainer(job, run, Console(quiet=True)).run()
    finally:
        run.close()
    lines = [json.loads(text) for text in (run.path / "metrics.jsonl").read_text().splitlines()]
    edges = [line for line in lines if line["kind"] == "edge"]
    assert summary["edge"]["measurements"] == len(edges) >= 1
    assert summary["updates"] == 30 * 45
    for edge in edges:
        assert 0 < edge["curvature"] < 1000
        assert edge["lr"] == config.lr
        assert 0 < edge["threshold"] <= 2.0
        assert edge["ratio"] == pytest.approx(edge["curvature"] * edge["lr"] / edge["threshold"])


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g.clone()


class Stiff(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return Once.apply(self.layer(x.flatten(1)))


def test_a_model_without_second_derivative_trains_on_and_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    simulated, run = simulator(tmp_path, lambda data: Stiff(), edge_every=5)
    summary = simulated.run()
    run.close()
    error = capsys.readouterr().err
    assert error.count("no edge ratio: the loss cannot be differentiated twice (") == 1
    assert summary["edge"]["measurements"] == 0
    assert summary["test_accuracy"] > 0.5


@pytest.mark.parametrize(
    ("values", "warns"),
    [
        ({"lr": "auto", "clock": "const:12"}, True),
        ({"lr": "auto", "clock": "gamma"}, False),
        ({"lr": 0.05, "clock": "const:12"}, False),
        ({"lr": "auto", "clock": "gamma", "algorithm": "ssgd"}, False),
    ],
)
def test_auto_lr_for_much_shorter_delays_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: dict[str, Any], warns: bool
):
    simulated, run = simulator(tmp_path, **values)
    simulated.run()
    run.close()
    error = capsys.readouterr().err
    assert ("for 3, the mean delay of --workers 4: lower --lr to" in error) == warns
    assert error.count("hogwild: warning") == int(warns)


def own_loop(worker: hogwild.Worker) -> None:
    raise AssertionError("must not begin")


def test_where_there_is_no_theory_or_no_data_it_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="--edge-every: no stability theory is known for algorithm staleness-aware"):
        Config(algorithm="staleness-aware", edge_every=10)
    with pytest.raises(UsageError, match="launch has no data for a curvature"):
        hogwild.launch(own_loop, line, edge_every=10, out=str(tmp_path))
