"""Evaluates consistent copies of the model, with BatchNorm statistics pooled over the workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from hogwild.tasks.meters import Meters
from hogwild.tasks.steps import apply
from hogwild.text import say


@dataclass(frozen=True)
class Score:
    """The result on a split, test or val: mean loss per sample, and the metric that decides which checkpoint is best;
    without one, the loss is that. `others`: further metrics by name.
    """

    loss: float
    metric: str
    value: float
    others: Mapping[str, float] = field(default_factory=dict)
    split: str = "test"

    def fields(self) -> dict[str, float]:
        found = {"loss": self.loss, **self.others, self.metric: self.value}
        return {f"{self.split}_{name}": value for name, value in found.items()}


@torch.no_grad()
def evaluate(
    module: nn.Module,
    data: Data,
    split: Split,
    pulse: Callable[[], object] = lambda: None,
    on_bad: Callable[[Sequence[BadSample]], object] = refuse,
    name: str = "test",
) -> Score:
    """Loss and metrics of `module` on a split, over the samples that can be read. `name`: of the split.

    `pulse` is called between batches, so that the caller can keep watching the workers; `on_bad` with the samples of a
    batch that cannot be read.
    """
    was_training, place = module.training, next(module.parameters())
    reader = Reader(split)
    module.eval()
    loss_sum, score_sum, count, samples = 0.0, 0.0, 0.0, 0
    meters = Meters(data.metrics, place.device)
    for start in range(0, len(split), data.eval_batch):
        batch = reader.read(torch.arange(start, min(start + data.eval_batch, len(split))), train=False)
        if batch.bad:
            on_bad(batch.bad)
        if not len(batch):
            continue
        inputs, targets = to_device((batch.inputs, batch.targets), place.device, place.dtype)
        stepped = apply(data, module, inputs, targets)
        loss_sum += float(stepped.loss) * len(batch)
        samples += len(batch)
        if data.score is not None:
            part, parts = data.score(stepped.outputs, stepped.targets)
            score_sum, count = score_sum + float(part), count + float(parts)
        meters.update(stepped.outputs, stepped.targets)
        pulse()
    module.train(was_training)
    loss = loss_sum / samples if samples else math.nan
    found = {"loss": loss, **meters.compute()}
    if data.score is not None:
        ratio = score_sum / count if count else math.nan
        finish = getattr(data.score, "finish", None)
        found[data.metric] = ratio if finish is None else finish(ratio)
    if data.monitored not in found:
        raise UsageError(f"there is no metric {data.monitored} to monitor: there are {', '.join(found)}")
    return Score(loss, data.monitored, found.pop(data.monitored), found, name)


def load_model(
    run: RunDirectory, name: str, *, trust: bool = False, names: Mapping[str, str] = {}
) -> tuple[nn.Module, Data, checkpoint.Checkpoint]:
    """The trained model of the run with its data and its checkpoint. CheckpointError if these do not belong together.

    trust: whether own code that a run made elsewhere names may be imported. names: `data` and `model` in place of
    those that the run records.
    """
    config = replace(run.config(trust=trust), **names)  # type: ignore[arg-type]
    found = checkpoint.load(run.ckpt, name)
    data, _ = recorded(config, run.read_recipe(), chooses_best=False)
    for line in data.lines:
        say(line, to_stderr=True)
    module = build(config, data, model_fn(config))
    here = {key: value for key, value in facts(config, module).items() if key not in names}
    require_same_run(here, found.meta, f"checkpoint {found.name}")
    state = State.from_plain(found.state)
    if (unsaved := state.unsaved(module)) is not None:
        say(unsaved, to_stderr=True)
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
