"""Models that hogwild.fit takes, and the weights that a run begins with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_fits import no_run, samples, simulate, two, weights
from torch import nn

import hogwild
from hogwild.errors import CheckpointError, UsageError

# ---- models -------------------------------------------------------------------------------------------------


def ready() -> nn.Module:
    """A model with weights of its own."""
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    for value in model.state_dict().values():
        value.copy_(torch.arange(value.numel()).reshape(value.shape) % 5 / 5 + 0.25)
    return model


def test_the_state_of_a_model_is_the_start_and_stays_as_it_is():
    model = ready()
    before = weights(model)
    result = simulate(model, lr=1e-30, epochs=1, workers=1)
    assert torch.equal(weights(model), before)
    assert torch.equal(result.model[0].weight, model[0].weight)
    trained = simulate(model, workers=2)
    assert not torch.equal(trained.model[0].weight, model[0].weight)


def test_worker_processes_begin_with_the_state_of_a_model():
    model = ready()
    result = hogwild.fit(model, (samples(), None), workers=2, lr=1e-30, epochs=1, batch_size=11)
    assert result.summary["updates"] == 9
    assert torch.equal(result.model[2].weight, model[2].weight)


def test_a_run_begins_with_weights(tmp_path):
    first = simulate(ready, name="first")
    state = first.model.state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, "w.pt")
    sources = [state, "w.pt", Path(first.path), Path(first.path) / "ckpt" / "last"]
    for source in sources:
        result = simulate(ready, lr=1e-30, epochs=1, workers=1, init_from=source)
        assert torch.equal(result.model[0].weight, state["0.weight"])
    again = simulate(ready, lr=1e-30, epochs=1, workers=1)
    assert not torch.equal(again.model[0].weight, state["0.weight"])


def test_a_simulated_run_that_is_resumed_begins_with_its_weights_again():
    torch.save({"weight": torch.full((2, 6), 0.5), "bias": torch.ones(2)}, "w.pt")
    whole = simulate(init_from="w.pt", epochs=2)
    simulate(init_from="w.pt", epochs=1, name="part")
    again = simulate(epochs=2, resume="runs/part")
    assert torch.equal(weights(again.model), weights(whole.model))


def test_weights_in_safetensors(tmp_path):
    st = pytest.importorskip("safetensors.torch")
    state = {name: value + 1 for name, value in two().state_dict().items()}
    st.save_file(state, "w.safetensors")
    result = simulate(init_from="w.safetensors", lr=1e-30, epochs=1)
    assert torch.equal(result.model.weight, state["weight"])


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


def test_weights_that_do_not_fit_or_are_not_safe_are_refused():
    torch.save({"weight": torch.ones(2, 7), "head": torch.ones(1)}, "other.pt")
    torch.save({"weight": Evil()}, "evil.pt")
    for source, kind, message in (
        ("other.pt", UsageError, r"init_from other.pt does not fit the model: bias is missing there; head is not in "
         r"the model; weight is \[2, 7\] there and \[2, 6\] in the model. Give weights"),
        ({"weight": torch.ones(2, 6)}, UsageError, "init_from does not fit the model: bias is missing there"),
        ("evil.pt", CheckpointError, "evil.pt is not a file of weights that can be read safely"),
        ("none.pt", UsageError, "init_from none.pt: there is no such file or run"),
    ):  # fmt: skip
        with pytest.raises(kind, match=message) as caught:
            simulate(init_from=source)
        assert "\n" not in str(caught.value)
    assert no_run()
    assert not Path("touched").exists()
