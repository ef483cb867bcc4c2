"""Saves a run's checkpoints, with the facts that a resumed run must agree with, and loads the one it resumes from."""

from __future__ import annotations

import math
import time
from pathlib import Path

from torch import nn

from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.drivers.checkpoints.compatibility import facts, require_compatible
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.job.job import Job
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory


class Checkpoints:
    """Loads the checkpoint that a run resumes from, and saves new ones."""

    def __init__(self, job: Job, module: nn.Module, run: RunDirectory) -> None:
        self.job, self.run = job, run
        self.module = module
        self.facts = facts(job.config, module)
        if job.body is None:
            self.facts["train_samples"] = len(job.data.train)
        self._best: float | None = None

    def resume(self, console: Console) -> State | None:
        """The state to resume from, or None; reports changed settings. CheckpointError if it does not fit."""
        config = self.job.config
        if config.resume is None:
            return None
        if config.ckpt == "last" and not checkpoint.names(self.run.ckpt):
            console.warn(f"{self.run.path} ended before its first checkpoint: starting from the beginning")
            return None
        found = checkpoint.load(self.run.ckpt, config.ckpt)
        for line in require_compatible(self.facts, found.meta):
            console.info(f"resuming: {line}")
        best = checkpoint.meta(self.run.ckpt, "best").get("score")
        self._best = float(best) if isinstance(best, (int, float)) else None
        console.info(f"resuming from {found.name}: {found.samples:,} samples, update {found.step}")
        state = State.from_plain(found.state)
        if (missing := state.unsaved(self.module)) is not None:
            console.warn(missing)
        return state

    def save(self, state: State, score: float | None) -> Path:
        """Writes a checkpoint and returns its directory. It also becomes `best` if it has the best value so far of the
        data set's metric; a value that is not a number never does.

        CheckpointError if it cannot be written; the older ones are then as they were.
        """
        sign = 1.0 if self.job.data.larger_is_better else -1.0
        is_best = score is not None and not math.isnan(score)
        if score is not None and self._best is not None:
            is_best = sign * score > sign * self._best
        samples, began = state.samples(self.job.counted), time.monotonic()
        meta = {**self.facts, "samples": samples, "updates": state.version, "score": score}
        keep = self.job.config.keep
        path = checkpoint.save(self.run.ckpt, state.version, state.plain(), meta, keep=keep, best=is_best)
        self._best = score if is_best else self._best
        self.run.journal.event("checkpoint", samples=samples, updates=state.version, **self.run.journal.took(began))
        return path

    def newest(self) -> str:
        """For messages: `last checkpoint: step-00000400`."""
        names = checkpoint.names(self.run.ckpt)
        return f"last checkpoint: {names[-1]}" if names else "no checkpoint yet"
