"""The same training in plain PyTorch: DDP over gloo, processes on one shared model, one process."""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.contest.course import Copy, Course, weights_of
from bench.contest.ours import PROCESSES, Trial
from bench.contest.tasks import BATCH_SIZE
from bench.peers.rivals import connect
from hogwild.drivers.fork_server import PRELOAD

PATIENCE_S = 1200.0
MOMENTUM = 0.9


def alone(trial: Trial) -> Course:
    return _together(trial, 1, _alone, 1)


def two_threads(trial: Trial) -> Course:
    return _together(trial, 1, _alone, 2)


def shared(trial: Trial) -> Course:
    """Each process has an optimizer of its own; the next batch is that of a common counter, so none waits."""
    model = trial.task.build(trial.data, trial.seed).share_memory()
    counter = multiprocessing.get_context("forkserver").Value("q", 0)
    return _together(trial, PROCESSES, _shared, (model, counter))


def ddp(trial: Trial) -> Course:
    with tempfile.TemporaryDirectory() as folder:
        return _together(trial, PROCESSES, _ddp, Path(folder) / "meeting")


def _together(trial: Trial, processes: int, work: Callable[..., None], extra: Any) -> Course:
    """Runs `work` in processes that begin together; the copies are those that any of them has sent."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    start = context.Barrier(processes)
    lines, workers = [], []
    for rank in range(processes):
        receive, send = context.Pipe(duplex=False)
        arguments = (work, trial, rank, extra, start, send)
        workers.append(context.Process(target=_worker, args=arguments, name=f"contest-{rank}", daemon=True))
        workers[-1].start()
        send.close()
        lines.append(receive)
    try:
        found = [pickle.loads(line.recv_bytes()) for line in lines if line.poll(PATIENCE_S)]
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    assert len(found) == processes, f"{processes - len(found)} of {processes} processes did not finish"
    began = min(spans[0] for spans, _ in found)
    ended = max(spans[1] for spans, _ in found)
    copies = sorted((copy for _, own in found for copy in own), key=lambda copy: copy.samples)
    kept = [Copy(copy.seconds - began, copy.samples, copy.weights) for copy in copies]
    return Course(kept, ended - began, trial.steps * BATCH_SIZE)


def _worker(work: Callable[..., None], trial: Trial, rank: int, extra: Any, start: Any, line: Connection) -> None:
    torch.set_num_threads(1)
    recorder = Recorder(trial)
    began: list[float] = []

    def ready() -> None:
        start.wait(PATIENCE_S)
        began.append(time.monotonic())

    work(trial, rank, extra, ready, recorder)
    line.send_bytes(pickle.dumps(((began[0], time.monotonic()), recorder.copies)))  # tensors by value


class Recorder:
    """Keeps a copy of the model whenever another part of the steps has been done."""

    def __init__(self, trial: Trial) -> None:
        self.every = max(trial.steps // trial.copies, 1)
        self.copies: list[Copy] = []

    def __call__(self, before: int, after: int, model: nn.Module) -> None:
        """Steps of all processes together, before and after the last one of this process."""
        if before // self.every < after // self.every:
            self.copies.append(Copy(time.monotonic(), after * BATCH_SIZE, weights_of(model)))


def batches(trial: Trial) -> Iterator[Tensor]:
    """Sample numbers of batch 0, 1, ...: passes over the data, shuffled alike in all processes."""
    generator = torch.Generator().manual_seed(trial.seed)
    while True:
        order = torch.randperm(len(trial.data.train), generator=generator)
        yield from (batch for batch in order.split(BATCH_SIZE) if len(batch) == BATCH_SIZE)


def optimizer(trial: Trial, model: nn.Module) -> torch.optim.Optimizer:
    if trial.task.rule == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=trial.lr, weight_decay=0.0)
    return torch.optim.SGD(model.parameters(), lr=trial.lr, momentum=MOMENTUM)


def gradient_step(trial: Trial, model: nn.Module, rule: torch.optim.Optimizer, index: Tensor) -> None:
    inputs, targets = trial.data.train.batch(index, train=True)
    rule.zero_grad()
    trial.data.loss(model(inputs), targets).backward()
    rule.step()


def _alone(trial: Trial, _rank: int, threads: int, ready: Callable[[], None], record: Recorder) -> None:
    torch.set_num_threads(threads)
    model = trial.task.build(trial.data, trial.seed)
    rule, source = optimizer(trial, model), batches(trial)
    ready()
    for step in range(trial.steps):
        gradient_step(trial, model, rule, next(source))
        record(step, step + 1, model)


def _shared(trial: Trial, _rank: int, extra: Any, ready: Callable[[], None], record: Recorder) -> None:
    model, counter = extra
    rule, source, at = optimizer(trial, model), batches(trial), 0
    ready()
    while True:
        with counter.get_lock():
            number = counter.value
            counter.value += 1
        if number >= trial.steps:
            return
        index = next(source)
        while at < number:
            index, at = next(source), at + 1
        at += 1
        gradient_step(trial, model, rule, index)
        record(number, number + 1, model)


def _ddp(trial: Trial, rank: int, meeting: Path, ready: Callable[[], None], record: Recorder) -> None:
    connect(rank, PROCESSES, meeting)
    model = nn.parallel.DistributedDataParallel(trial.task.build(trial.data, trial.seed))
    rule, source = optimizer(trial, model), batches(trial)
    ready()
    for step in range(0, trial.steps - PROCESSES + 1, PROCESSES):
        indices = [next(source) for _ in range(PROCESSES)]
        gradient_step(trial, model, rule, indices[rank])
        if rank == 0:
            record(step, step + PROCESSES, model.module)
