"""Evaluates consistent copies of the model, with BatchNorm statistics pooled over the workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.drivers.checkpoints.compatibility import facts, require_same_run
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.left_out import TEST, LeftOut, refuse
from hogwild.drivers.job.model import build, model_fn
from hogwild.drivers.job.recorded import recorded
from hogwild.drivers.job.samples import BadSample, Reader
from hogwild.drivers.job.trial import fit_metric
from hogwild.errors import UsageError
from hogwild.runs.directory import RunDirectory
from hogwild.shared.devices import to_device
from hogwild.shared.seeds import own_generators
from hogwild.tasks.data import Data, Split
from hogwild.text import say

EVAL_BATCH = 500


@dataclass(frozen=True)
class Score:
    """The result on a split: mean loss per sample, and the data set's own metric; if it has none, the loss is that."""

    loss: float
    metric: str
    value: float

    def fields(self, prefix: str = "test") -> dict[str, float]:
        return {f"{prefix}_loss": self.loss, f"{prefix}_{self.metric}": self.value}


@torch.no_grad()
def evaluate(
    module: nn.Module,
    data: Data,
    split: Split,
    pulse: Callable[[], object] = lambda: None,
    on_bad: Callable[[Sequence[BadSample]], object] = refuse,
) -> Score:
    """Loss and metric of `module` on a split, over the samples that can be read.

    `pulse` is called between batches, so that the caller can keep watching the workers; `on_bad` with the samples of a
    batch that cannot be read.
    """
    was_training, place = module.training, next(module.parameters())
    reader = Reader(split)
    module.eval()
    loss_sum, score_sum, count, samples = 0.0, 0.0, 0.0, 0
    for start in range(0, len(split), EVAL_BATCH):
        batch = reader.read(torch.arange(start, min(start + EVAL_BATCH, len(split))), train=False)
        if batch.bad:
            on_bad(batch.bad)
        if not len(batch):
            continue
        inputs, targets = to_device((batch.inputs, batch.targets), place.device, place.dtype)
        output = module(inputs)
        loss_sum += float(data.loss(output, targets)) * len(batch)
        samples += len(batch)
        if data.score is not None:
            part, parts = data.score(output, targets)
            score_sum, count = score_sum + float(part), count + float(parts)
        pulse()
    module.train(was_training)
    loss = loss_sum / samples if samples else math.nan
    if data.score is None:
        return Score(loss, "loss", loss)
    ratio = score_sum / count if count else math.nan
    finish = getattr(data.score, "finish", None)
    return Score(loss, data.metric, ratio if finish is None else finish(ratio))


def load_model(
    run: RunDirectory, name: str, *, trust: bool = False, names: Mapping[str, str] = {}
) -> tuple[nn.Module, Data, checkpoint.Checkpoint]:
    """The trained model of the run with its data and its checkpoint. CheckpointError if these do not belong together.

    trust: whether own code that a run made elsewhere names may be imported. names: `data` and `model` in place of
    those that the run records.
    """
    config = replace(run.config(trust=trust), **names)  # type: ignore[arg-type]
    found = checkpoint.load(run.ckpt, name)
    data, _ = recorded(config, run.read_recipe())
    module = build(config, data, model_fn(config))
    here = {key: value for key, value in facts(config, module).items() if key not in names}
    require_same_run(here, found.meta, f"checkpoint {found.name}")
    state = State.from_plain(found.state)
    if (line := state.unsaved(module)) is not None:
        say(line, to_stderr=True)
    state.load_module(module)
    return module, data, found


def evaluate_checkpoint(
    run: RunDirectory, name: str = "last", *, trust: bool = False, names: Mapping[str, str] = {}
) -> dict[str, object]:
    """Loads the run's data, model and checkpoint; returns {checkpoint, samples, updates, test_loss, test_<metric>}, and
    bad_test_samples if some could not be read; each is told on stderr.

    UsageError if the data have no test set; DataError as --on-bad-sample of the run says.
    """
    module, data, found = load_model(run, name, trust=trust, names=names)
    config = run.config(trust=trust)
    if not len(data.test):
        raise UsageError(f"{data.name} has no test set to evaluate on")
    left_out = LeftOut(config.on_bad_sample, lambda line, **_: say(line, to_stderr=True))
    with own_generators(config.seed):
        data = fit_metric(data, module)
        score = evaluate(module, data, data.test, on_bad=lambda bad: left_out.add(bad, TEST, 0, len(data.test)))
    count = left_out.total(TEST)
    bad = {"bad_test_samples": count} if count else {}
    return {"checkpoint": found.name, "samples": found.samples, "updates": found.step, **score.fields(), **bad}
