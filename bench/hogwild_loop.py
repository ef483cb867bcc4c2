"""A plain Hogwild loop without this package: shared parameters, and a private torch.optim.SGD per process.

Every process takes its share of each shuffled pass, so that samples are counted once. The batches come from the same
Split as the trainer's, from tensors in shared memory. The loop logs nothing and reads no loss.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import torch
from torch import nn

from hogwild.drivers.fork_server import PRELOAD
from hogwild.tasks.data import Data

PATIENCE_S = 100.0


@dataclass(frozen=True)
class Setting:
    """The common settings of both trainers."""

    data: Data
    model: nn.Module
    batch_size: int
    lr: float
    momentum: float
    steps: int  # per process


def samples_per_s(setting: Setting, processes: int) -> float:
    """The training rate of `processes` processes. Changes `setting.model`; its parameters must be in shared memory.

    Time is measured from the first step, which all processes begin together, to the last step of the last process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    start = context.Barrier(processes)
    lines, workers = [], []
    for rank in range(processes):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(setting, rank, processes, start, theirs), daemon=True)
        worker.start()
        theirs.close()
        lines.append(ours)
        workers.append(worker)
    try:
        spans = [line.recv() for line in lines if line.poll(PATIENCE_S)]
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    assert len(spans) == processes, f"{processes - len(spans)} of {processes} processes did not finish"
    seconds = max(ended for _, ended in spans) - min(began for began, _ in spans)
    return setting.steps * setting.batch_size * processes / seconds


def work(setting: Setting, rank: int, processes: int, start: Barrier, line: Connection) -> None:
    torch.set_num_threads(1)
    model, split = setting.model, setting.data.train
    optimizer = torch.optim.SGD(model.parameters(), lr=setting.lr, momentum=setting.momentum)
    generator = torch.Generator().manual_seed(0)  # the same shuffle in all processes: disjoint shares
    batches: list[torch.Tensor] = []
    model.train()
    start.wait(PATIENCE_S)
    began = time.perf_counter()
    for _ in range(setting.steps):
        if not batches:
            own = torch.randperm(len(split), generator=generator)[rank::processes]
            batches = [batch for batch in own.split(setting.batch_size) if len(batch) == setting.batch_size]
        inputs, targets = split.batch(batches.pop(), train=True)
        optimizer.zero_grad()
        loss = setting.data.loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
    line.send((began, time.perf_counter()))
