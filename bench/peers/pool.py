"""Worker processes that hold every contestant, and step the ordered one together."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from bench.peers.contestant import Contestant, model
from bench.peers.ours import OURS, Ours, algorithm
from bench.peers.rivals import RIVALS, available, connect
from hogwild.shared.world import World

PATIENCE_S = 120.0  # longest wait for a process that starts, or steps
LEAD_S = 0.02  # time from the order to the common start
WARM_UP = 4  # first steps, which change nothing: torch makes its buckets, memory is touched
MIX = 16  # averaging steps without gradient, after which the replicas must be close
LR = 1e-6
PROBE = 4096


Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """Order for `calls` steps of a contestant, which all processes begin together. The answer is the end time."""

    contestant: str
    calls: int
    starts_at: float  # time.perf_counter(), one clock for all processes
    lr: float = LR
    has_gradient: bool = True


@dataclass(frozen=True)
class Look:
    """Order for a View of a contestant."""

    contestant: str


@dataclass(frozen=True)
class View:
    """The first elements of the models of one process (its worker's model comes first), and of its gradient."""

    models: Array  # [models, PROBE]
    g: Array  # [PROBE]


class WorkerPool:
    """`processes` worker processes with every contestant in each. A context manager: it ends all of them."""

    def __init__(self, processes: int, hidden: int) -> None:
        self.processes = processes
        self.contestants = [*OURS, *available()]
        worlds = {name: World.create(model(hidden), algorithm(name).keeps(), processes) for name in OURS}
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch", "bench.peers.pool"])
        self._folder = tempfile.TemporaryDirectory()
        meeting = Path(self._folder.name) / "meeting"
        self._lines: list[Connection] = []
        self._processes = []
        for rank in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=serve, args=(rank, processes, hidden, worlds, meeting, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self._lines.append(ours)
            self._processes.append(process)

    def __enter__(self) -> WorkerPool:
        for rank in range(self.processes):
            self._hear(rank)  # ready
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        for line in self._lines:
            line.close()
        self._folder.cleanup()

    def check(self, contestant: str) -> float:
        """The error of averaging, relative to the step.

        After one step with gradients that differ by process, and MIX steps without gradient, the models together must
        have moved by the sum of the steps. The replicas must be less than half as far apart as those steps moved them
        (AssertionError). Contestants without barriers step one process at a time, because under the racing policy two
        processes that update the center at once may lose an update.
        """
        in_turn = contestant in OURS and not algorithm(contestant).barriers_per_round
        before = self._look(contestant)
        self._step(Steps(contestant, 1, 0.0, lr=1.0), in_turn)
        self._step(Steps(contestant, MIX, 0.0, lr=1.0, has_gradient=False), in_turn)
        after = self._look(contestant)
        moved = sum((b.models - a.models).sum(0) for a, b in zip(before, after, strict=True))
        owed = -np.sum([view.g for view in before], 0)
        parted, apart = np.std([view.g for view in before], 0), np.std([view.models[0] for view in after], 0)
        assert np.linalg.norm(apart) < np.linalg.norm(parted) / 2, f"{contestant}: the replicas stay apart"
        return float(np.max(np.abs(moved - owed) / (1 + np.abs(owed))))

    def seconds_per_step(self, contestant: str, calls: int) -> float:
        """The time from the common start to the end of the last process, divided by the steps of one process."""
        starts_at = time.perf_counter() + LEAD_S
        return (max(self._step(Steps(contestant, calls, starts_at))) - starts_at) / calls

    def _step(self, order: Steps, in_turn: bool = False) -> list[float]:
        return [float(answer) for answer in self._ask(order, in_turn)]

    def _look(self, contestant: str) -> list[View]:
        return list(self._ask(Look(contestant)))

    def _ask(self, order: Steps | Look, in_turn: bool = False) -> list[Any]:
        answers = []
        for rank, line in enumerate(self._lines):
            line.send(order)
            if in_turn:
                answers.append(self._hear(rank))
        return answers or [self._hear(rank) for rank in range(self.processes)]

    def _hear(self, rank: int) -> Any:
        if not self._lines[rank].poll(PATIENCE_S):
            raise TimeoutError(f"process {rank} did not answer within {PATIENCE_S:.0f} s")
        return self._lines[rank].recv()


def serve(rank: int, processes: int, hidden: int, worlds: dict[str, World], meeting: Path, line: Connection) -> None:
    """Carries out orders until it is killed."""
    torch.set_num_threads(1)
    connect(rank, processes, meeting)
    contestants: dict[str, Contestant] = {name: Ours(name, worlds[name], rank, model(hidden)) for name in OURS}
    contestants |= {name: RIVALS[name](model(hidden), processes) for name in available()}
    generator = torch.Generator().manual_seed(1 + rank)
    zeros = [torch.zeros_like(parameter) for parameter in model(hidden).parameters()]
    g = [torch.empty_like(zero).normal_(generator=generator) for zero in zeros]
    dist.barrier()  # all processes must have joined: an algorithm with rounds would begin without the others
    for contestant in contestants.values():
        for _ in range(WARM_UP):
            contestant.step(zeros, 0.0)
    line.send("ready")
    while True:
        order: Steps | Look = line.recv()
        contestant = contestants[order.contestant]
        if isinstance(order, Look):
            models = np.stack([_probe(whole) for whole in contestant.models()])
            line.send(View(models, _probe(torch.cat([part.reshape(-1) for part in g]))))
        else:
            time.sleep(max(order.starts_at - time.perf_counter(), 0.0))
            for _ in range(order.calls):
                contestant.step(g if order.has_gradient else zeros, order.lr)
            line.send(time.perf_counter())


def _probe(tensor: Tensor) -> Array:
    found: Array = tensor[:PROBE].double().numpy()
    return found
