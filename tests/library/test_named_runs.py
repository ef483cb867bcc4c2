"""What commands and hogwild.load make of a run of the library: by the names that it records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from scripts import run, write
from small_fits import samples, two
from torch import nn

import hogwild
from hogwild.cli.evaluate import main as evaluate
from hogwild.cli.export import main as export
from hogwild.cli.train import main as train
from hogwild.drivers.checkpoints import store
from hogwild.errors import CheckpointError, UsageError
from hogwild.own_code import name_of

FITS = """
result = hogwild.fit(Net, data(), smoothed, score_fn=share, epochs=2, name="x", callbacks=[hogwild.EMA()], **OPTIONS)
print(result.summary["test_loss"], result.summary["test_share"])
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """The script of a run in runs/x, and the test loss and metric that it printed."""
    folder = tmp_path_factory.mktemp("made")
    script = write(folder / "mine.py", FITS)
    return script, list(map(float, run(script, cwd=folder).stdout.split()))


@pytest.fixture
def mine(made, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[float]]:
    """The same, seen from elsewhere."""
    monkeypatch.chdir("/")
    return made


def test_a_script_that_has_moved_is_told(mine, capsys):
    script, _ = mine
    path, moved = script.parent / "runs" / "x", script.rename(script.parent / "moved.py")
    try:
        assert evaluate([str(path), "--data", f"{moved}:data"]) == UsageError.exit_code
        assert f"there is no file {script}: say where it is" in capsys.readouterr().err
        assert export([str(path), str(script.parent / "m.pt")]) == 0  # needs no model
    finally:
        moved.rename(script)


def test_a_call_without_a_guard_is_told(mine, capsys):
    script, _ = mine
    bare = script.with_name("bare.py")
    bare.write_text(script.read_text().replace('if __name__ == "__main__":', "if True:"))
    path = script.parent / "runs" / "x"
    assert evaluate([str(path), "--data", f"{bare}:data"]) == UsageError.exit_code
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"hogwild.fit is called while {bare} is imported" in line
    assert "put the call under if __name__ == '__main__'" in line


def test_a_run_from_elsewhere_needs_trust_for_its_loss_too(mine, capsys):
    script, _ = mine
    path = script.parent / "runs" / "x"
    recipe = json.loads((path / "library.json").read_text())
    assert recipe["loss_fn"] == f"{script}:smoothed"
    (path / "library.json").write_text(json.dumps(recipe | {"loss_fn": "os:abort"}))
    command = [str(path), "--data", f"{script}:data"]
    try:
        assert evaluate(command) == UsageError.exit_code
    finally:
        (path / "library.json").write_text(json.dumps(recipe, indent=2) + "\n")
    told = capsys.readouterr().err
    assert "was not made here, and names code of its own" in told
    assert "library.json loss_fn os:abort" in told


def test_commands_go_on_with_a_run_of_a_script(mine, capsys):
    script, (loss, metric) = mine
    path = script.parent / "runs" / "x"
    assert evaluate([str(path)]) == UsageError.exit_code
    assert "handed to hogwild.fit as objects: give --data module:function" in capsys.readouterr().err
    assert evaluate([str(path), "--data", f"{script}:data", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["test_loss"], found["test_share"]) == (loss, metric)
    again = ["--resume", str(path), "--epochs", "4", "--data"]
    assert train([*again, f"{script}:fewer"]) == CheckpointError.exit_code
    assert "train_samples 99 -> 77" in capsys.readouterr().err
    run("-m", "hogwild", "train", "--resume", path, "--epochs", 4, "--data", f"{script}:data", "--quiet")
    resumed = json.loads((path / "summary.json").read_text())
    assert (resumed["updates"], resumed["exit_reason"]) == (36, "done")
    assert evaluate([str(path), "--json"]) == 0  # the data have a name now
    found = json.loads(capsys.readouterr().out)
    assert (found["test_loss"], found["test_share"]) == (resumed["test_loss"], resumed["test_share"])


# ---- what has no name ---------------------------------------------------------------------------------------


def fit(model=two, loss_fn=None, **options) -> hogwild.Result:
    values = {"clock": "round-robin", "workers": 1, "epochs": 2, "batch_size": 11, "lr": 0.1, **options}
    return hogwild.fit(model, (samples(), samples(50)), loss_fn, **values)


def data():
    return samples(), samples(50)


DATA = ("--data", "test_named_runs:data")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"model": lambda: nn.Linear(6, 2)},
            "the model of this run was <lambda> of test_named_runs, which has no name",
        ),
        ({"loss_fn": nn.CrossEntropyLoss()}, "loss_fn of this run was <CrossEntropyLoss object> of torch.nn.modules"),
        ({"score_fn": lambda o, t: (1.0, 1)}, "score_fn of this run was <lambda> of test_named_runs"),
    ],
)
def test_what_has_no_name_is_told_with_what_to_give(given, message, capsys):
    path = fit(**given).path
    assert evaluate([path, *DATA]) == UsageError.exit_code
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_model_without_a_name_is_given_one(capsys):
    result = fit(lambda: nn.Linear(6, 2))
    assert evaluate([result.path, *DATA, "--model", "small_fits:two", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_loss"] == result.summary["test_loss"]


def own_groups(name, parameter):
    return {"lr": 0.0} if name == "bias" else {}


def test_groups_are_kept_when_a_command_goes_on():
    result = fit(clock=None, groups=own_groups)
    assert train(["--resume", result.path, "--epochs", "4", "--quiet", *DATA]) == 0
    first, last = hogwild.load(result), hogwild.load(result.path, 36)
    assert torch.equal(first["bias"], last["bias"])
    assert torch.equal(last["bias"], result.model.bias)
    assert not torch.equal(last["weight"], result.model.weight)


def margin(output, target):
    return (output[:, 1] - output[:, 0]).abs().mean()


def spread(outputs, targets):
    return outputs.std().item()


def test_all_metrics_of_a_run_are_evaluated(capsys):
    shipped = {"top1": hogwild.metrics.top_k(1), "auc": hogwild.metrics.auc, "ppl": hogwild.metrics.perplexity}
    own = {"margin": margin, "spread": hogwild.metrics.whole(spread, larger_is_better=True)}
    result = fit(metrics={**shipped, **own, "lost": lambda o, t: 0.0}, monitor="spread")
    assert evaluate([result.path, *DATA, "--json"]) == 0
    told = capsys.readouterr()
    assert "metric lost of this run was test_named_runs:test_all" in told.err
    assert "which has no name to import: it is left out" in told.err
    found = json.loads(told.out)
    for name in ("loss", *shipped, *own):
        assert found[f"test_{name}"] == result.summary[f"test_{name}"]
    assert "test_accuracy" not in found
    result = fit(metrics={"lost": lambda o, t: 0.0, "auc": hogwild.metrics.auc})
    assert evaluate([result.path, *DATA, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_auc"] == result.summary["test_auc"]
    assert train(["--resume", result.path, "--epochs", "3", *DATA]) == UsageError.exit_code
    assert "metric lost chooses the checkpoint best, and has no name" in capsys.readouterr().err


def test_names_of_functions():
    from functools import partial

    assert name_of(data) == "test_named_runs:data"
    assert name_of(nn.Linear) == "torch.nn.modules.linear:Linear"
    assert name_of(partial(nn.Linear, 6, 2)) == "torch.nn.modules.linear:<partial of Linear>"
    assert name_of(lambda: 0).startswith("test_named_runs:<lambda>") or "<locals>" in name_of(lambda: 0)
    assert name_of(nn.ReLU()) == "torch.nn.modules.activation:<ReLU object>"


# ---- weights ------------------------------------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second, self.last = (
            nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 6), nn.Linear(6, 2)
        )  # fmt: skip
        self.second.weight = self.first.weight
        self.first.bias.requires_grad_(False)
        self.register_buffer("scratch", torch.ones(3), persistent=False)

    def forward(self, x):
        return self.last(self.second(self.norm(self.first(x)).relu()))


@pytest.mark.parametrize("clock", [None, "gamma"])
def test_the_weights_are_those_of_the_result(clock):
    result = fit(Tied, clock=clock, workers=2)
    weights = hogwild.load(result)
    model = Tied()
    model.load_state_dict(weights)
    expected = result.model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert export([result.path, "m.pt"]) == 0
    exported = torch.load("m.pt")
    assert all(torch.equal(exported[name], value) for name, value in expected.items())


def test_checkpoints_by_name_and_step_and_the_average():
    ema = hogwild.EMA(0.5, every=2)
    result = fit(clock=None, callbacks=[ema], epochs=3, lr=2.0)
    steps = {step: hogwild.load(result.path, step)["weight"] for step in (9, 18, 27)}
    assert torch.equal(steps[27], result.model.weight)
    assert not torch.equal(steps[9], steps[18])
    best = store.load(Path(result.path) / "ckpt", "best").step
    assert torch.equal(hogwild.load(result, "best")["weight"], steps[best])
    assert torch.equal(hogwild.load(result, ema=True)["weight"], ema.average["weight"])
    assert export([result.path, "m.pt", "--ema"]) == 0
    assert torch.equal(torch.load("m.pt")["weight"], ema.average["weight"])
    for wrong in (5.0, True, -1, None):
        with pytest.raises(UsageError, match=f"'last', 'best', a number of updates or a name; it is {wrong}"):
            hogwild.load(result, wrong)
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*step-00000010"):
        hogwild.load(result, 10)
    with pytest.raises(UsageError, match=r"has no average: hogwild\.EMA was not among the callbacks"):
        hogwild.load(fit(), ema=True)
    with pytest.raises(UsageError, match="nowhere is not a run directory"):
        hogwild.load("nowhere")
