"""Users' models and data: unusual ones train, wrong ones are refused, failing ones are reported."""

from __future__ import annotations

import json
from pathlib import Path

import own_code
import pytest
import torch
from slow import slow

import hogwild
from hogwild.buffers import SHARED
from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.errors import TooFewWorkersError, UsageError
from hogwild.shared.world import World

EPOCHS, BATCH = 4, 5
TICKETS = EPOCHS * 40


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def fit(model, data=None, **options) -> hogwild.Result:
    return hogwild.fit(model, data or own_code.data(), **{"epochs": EPOCHS, "batch_size": BATCH, "lr": 0.05, **options})


def the_run() -> Path:
    (path,) = Path("runs").iterdir()
    return path


@pytest.mark.parametrize(
    "model",
    [
        own_code.frozen,
        own_code.Tied,
        slow(own_code.Unused),
        slow(own_code.ChannelsLast),
        slow(own_code.half),
        own_code.double,
        slow(own_code.normalised),
    ],
)
def test_an_unusual_model_trains(model):
    torch.manual_seed(0)
    before = model().float().state_dict()
    result = fit(model)
    assert (result.summary["updates"], result.summary["samples"]) == (TICKETS, EPOCHS * 200)
    after = result.model.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    untouched = {
        own_code.frozen: {"0.weight", "0.bias"},
        own_code.Unused: {"unused.weight", "unused.bias", "empty", "mask", "nothing"},
    }
    assert moved == set(before) - untouched.get(model, set())
    if model is own_code.Tied:
        assert torch.equal(after["first.weight"], after["second.weight"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (own_code.all_frozen, "the model has no trainable parameters"),
        (torch.nn.ReLU, "the model has no trainable parameters"),
        (own_code.lazy, "parameter weight has no values yet"),
        (own_code.on_meta, "parameter weight has no values yet"),
        (own_code.complex_valued, "parameter weight is complex"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_and_leaves_nothing(model, message: str):
    with pytest.raises(UsageError, match=message):
        fit(model)
    assert not list(Path("runs").iterdir())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (own_code.SparseGradient, "the gradient of words is sparse, and words is no weight of an nn.Embedding"),
        (own_code.GrowingBuffer, r"the model's buffer cache has shape \[5, 2\], not that of the start of the run"),
        (own_code.fails_in_all_workers, "no workers left, --min-workers is 1: .*RuntimeError: out of ideas"),
        (own_code.fails_when_it_is_built_there, "no workers left, .*exit code 3"),
    ],
)
def test_a_model_that_fails_in_every_worker_ends_the_run_with_the_cause(model, message: str):
    with pytest.raises((TooFewWorkersError, UsageError), match=message) as caught:
        fit(model)
    assert json.loads((the_run() / "summary.json").read_text())["exit_reason"] == caught.value.exit_reason


def test_a_model_that_fails_in_one_worker_costs_no_samples(capsys):
    result = fit(own_code.fails_in_one_worker)
    assert (result.summary["samples"], result.summary["faults"]) == (EPOCHS * 200, 1)
    assert "1 of 2 continue, its work is assigned again" in capsys.readouterr().err


def test_an_exception_without_a_printable_message_does_not_end_the_parent():
    with pytest.raises(TooFewWorkersError, match="no file img_"):
        fit(own_code.fails_unprintably, quiet=True)
    faults = [json.loads(line) for line in (the_run() / "metrics.jsonl").read_text().splitlines() if "fault" in line]
    assert "no file img_\udcff.png" in faults[0]["message"]


def test_a_model_that_only_the_workers_cannot_import_is_explained():
    def local() -> torch.nn.Module:
        return own_code.net()

    local.__qualname__ = "absent"  # pickle looks up this name, which exists here but not in the workers
    own_code.absent = local  # type: ignore[attr-defined]
    local.__module__ = "own_code"
    with pytest.raises(UsageError, match=r"Can't get attribute 'absent'.*Define them at module level"):
        fit(local)


def test_a_missing_device_is_refused_in_the_library_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    for placement in ({"device": "cuda"}, {"master": "cuda:0"}):
        with pytest.raises(UsageError, match="was built without CUDA"):
            fit(own_code.net, **placement)
    with pytest.raises(UsageError, match="runs/a is not a run directory"):
        fit(own_code.net, resume="runs/a")


def test_a_missing_core_is_refused():
    with pytest.raises(UsageError, match="--pin 4095: core 4095 is not one of those this process may use"):
        fit(own_code.net, pin="4095")


@pytest.mark.parametrize("limit", [{"epochs": 1e300}, {"updates": 10**20}, {"samples": 10**20}])
def test_a_run_longer_than_can_be_counted_is_refused(limit):
    with pytest.raises(UsageError, match=r"at most 1e\+15 are counted|must be an integer of 64 bits"):
        fit(own_code.net, **{"epochs": None, **limit})


def test_seeds_are_bounded():
    with pytest.raises(UsageError, match=r"seed: .* must be an integer of 64 bits"):
        fit(own_code.net, seed=1 << 63)
    with pytest.raises(UsageError, match=r"seed: .* 0 <= seed < 2\^63"):
        fit(own_code.net, seed=-1)
    assert fit(own_code.net, seed=(1 << 63) - 1, epochs=1).summary["updates"] == 40


def test_a_new_process_goes_on_with_the_buffers_that_were_published():
    model = own_code.normalised()
    world = World.create(model, {"x": SHARED}, 2)
    model(torch.randn(8, 6))
    world.publish(model, 1)
    replaced = own_code.normalised()
    world.recall(replaced, 1)
    assert all(torch.equal(replaced.get_buffer(name), value) for name, value in model.named_buffers())
    world.recall(replaced, 0)
    assert replaced.get_buffer("1.num_batches_tracked") == 0


@pytest.mark.parametrize("access", ["atomic", "locked"])
def test_every_checkpoint_is_the_model_after_the_updates_that_it_names(access: str):
    data = (torch.zeros(400, 1), torch.zeros(400, dtype=torch.int64))
    result = hogwild.fit(
        own_code.Count, (data, data), own_code.output_itself, score_fn=own_code.no_score, workers=4, access=access,
        lr=1.0, epochs=4, batch_size=1, eval_every=0.02, ckpt_every=0.02, keep=1000,
    )  # fmt: skip
    folder = Path(result.path) / "ckpt"
    names = checkpoint.names(folder)
    assert len(names) >= 2
    for name in names:
        found = checkpoint.load(folder, name)
        state, updates = found.state, found.step
        assert all((value == -updates).all() for value in state["parameters"].values())
        assert state["next"] - len(state["again"]) == sum(state["steps"]) == updates
        assert sum(int(buffers["batches"]) for buffers in state["module_buffers"]) == updates


def test_a_lock_whose_owner_was_killed_is_recovered():
    result = hogwild.launch(own_code.die_in_the_locked_section, own_code.net, access="locked", lr=0.01)
    assert (result.summary["updates"], result.summary["faults"]) == (11, 1)
    ended = [json.loads(line) for line in (Path(result.path) / "metrics.jsonl").read_text().splitlines()]
    assert sum(line["locks_recovered"] for line in ended if line.get("event") == "ended") == 1


def test_own_loops_draw_different_numbers_and_the_same_again():
    def numbers() -> list[str]:
        hogwild.launch(own_code.draw, own_code.net, workers=3)
        return [own_code.marker(f"draw-{rank}").read_text() for rank in range(3)]

    first = numbers()
    assert len(set(first)) == 3
    assert numbers() == first


def test_own_loops_that_fail():
    with pytest.raises(TooFewWorkersError, match=r"no workers left.*own loop failed"):
        hogwild.launch(own_code.fail_after_five, own_code.net)
    summary = hogwild.launch(own_code.second_fails, own_code.net).summary
    assert (summary["updates"], summary["faults"], summary["exit_reason"]) == (100, 1, "done")
    with pytest.raises(TooFewWorkersError, match="1 worker left, --min-workers is 2"):
        hogwild.launch(own_code.second_fails, own_code.net, min_workers=2)


def test_an_own_loop_that_does_nothing():
    result = hogwild.launch(own_code.do_nothing, own_code.net)
    assert result.summary["updates"] == 0
    torch.manual_seed(0)
    assert torch.equal(result.model[0].weight, own_code.net()[0].weight)
