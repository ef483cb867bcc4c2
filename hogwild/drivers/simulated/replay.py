"""A replay: simulated workers that take the turns of a recorded run, in their order.

A turn is what a worker does to the run between two waits (hogwild.drivers.instruments.recording). The trace alone says
who is next: each turn is taken whole, at the place where the recorded run had it, so the replay of a run that was
recorded under `--access locked` ends with the same bits in every buffer. What no schedule holds is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Barrier, Gradient, Update
from hogwild.buffers import has_replicas
from hogwild.drivers.instruments import trace
from hogwild.drivers.instruments.left_out import refuse
from hogwild.drivers.instruments.trace import Turn
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import BadSample
from hogwild.drivers.simulated.clocks import TraceClock
from hogwild.drivers.simulated.run import SimulatedRun
from hogwild.drivers.simulated.workers import Push, Request
from hogwild.errors import UsageError
from hogwild.kernels.control import Phase
from hogwild.rules import Access
from hogwild.shared.layout import frozen
from hogwild.shared.world import World
from hogwild.text import quoted


class Replay(SimulatedRun):
    """Simulated workers under a recorded schedule. UsageError, in one line, for what cannot be replayed exactly."""

    def __init__(
        self, job: Job, world: World, module: nn.Module, clock: TraceClock,
        on_bad: Callable[[Sequence[BadSample], int, int], object] = refuse,
    ) -> None:  # fmt: skip
        self._trace = clock.trace
        self._name = job.config.algorithm
        self._is_old = self._trace.algorithm is None
        self._require_one_order(job)
        super().__init__(job, world, module, on_bad)
        self.doubts += self._doubts()
        self._require_ordered_buffers()
        self._turns: Iterator[Turn] = iter(self._trace.turns)
        self._asked: dict[int, Tensor] = {}  # by rank: the parameters of its next gradient, at its request
        self._taken: set[int] = set()  # tickets above the lowest that no worker has taken yet
        self._next = self.tickets.next
        self._lasting = [(name, kept, kept._version) for name, kept in frozen(module).items()]

    def advance(self) -> Push | None:
        for turn in self._turns:
            if (push := self._take(turn)) is not None:
                return push
        return None

    def time(self) -> float:
        raise UsageError(
            f"algorithm {self._name} asks for the time (w.now), which no schedule holds: it is not replayed"
        )

    def _take(self, turn: Turn) -> Push | None:
        """One turn; the push, if it is one with a gradient."""
        rank, worker = turn.rank, self.workers[turn.rank]
        if turn.kind == trace.JOIN:
            self.rounds.join(rank, 0, 0.0)
        elif turn.kind == trace.LEAVE:
            self._phase(rank, Phase.PAUSED)  # it may come again
            self.rounds.leave(rank)
        elif turn.kind == trace.REST:
            worker.view.gather_rest()
        elif turn.kind == trace.BEGIN:
            worker.steps = self.job.algorithm.worker(worker.view)
            self._serve(rank, next(worker.steps))
        elif turn.kind == trace.UPDATE:
            self._require(turn, worker.at_update)
            self._serve(rank, worker.steps.send(None))
        else:
            self._require(turn, worker.at is not None and not worker.at_update)
            return self._push(turn)
        return None

    def _push(self, turn: Turn) -> Push:
        rank = turn.rank
        self._hold(rank, turn.ticket)
        self._require_unwritten(rank)
        self.now += 1.0 / len(self.workers)
        self._count_traffic(rank)
        push, request = self._answer(rank, given_up=turn.kind == trace.GIVEN_UP)
        self._require_frozen_kept()
        if self._count_traffic(rank) > 1 and self._is_old and not has_replicas(self.job.algorithm.keeps()):
            raise UsageError(
                f"algorithm {self._name} reads the model once more after a push, and the recorded schedule is of "
                "version 0.1.0, which gave that no number: record the run again"
            )
        if (request is None) != (turn.kind == trace.EMPTY):
            could, can = ("could", "cannot") if request is None else ("could not", "can")
            raise UsageError(
                f"the batch of ticket {turn.ticket} {could} be read when the schedule was recorded, and {can} now: "
                "replay it with the data of that run"
            )
        if request is not None:
            self._serve(rank, request)
        return push

    def _count_traffic(self, rank: int) -> int:
        """Adds what the worker has sent and read since the last call; returns the number of its messages."""
        traffic = self.workers[rank].view.buffers.traffic.take()
        self.messages += traffic.messages
        self.moved_bytes += traffic.moved_bytes
        return traffic.messages

    def _serve(self, rank: int, request: Request) -> None:
        worker = self.workers[rank]
        assert not isinstance(request, Barrier), "synchronous algorithms are refused"
        worker.at_update = isinstance(request, Update)
        self._phase(rank, Phase.BARRIER if worker.at_update else Phase.GRADIENT)
        if isinstance(request, Gradient):
            self._ask(rank, request)

    def _ask(self, rank: int, request: Gradient) -> None:
        if self._is_old and request.within is not None:
            raise UsageError(
                f"--clock {self.job.config.clock} draws no durations, and algorithm {self._name} gives up gradients "
                "after a time: use --clock gamma, round-robin or random, or record the run again"
            )
        super()._ask(rank, request)
        self._asked[rank] = request.at.clone()

    def _hold(self, rank: int, ticket: int) -> None:
        """The worker takes that ticket, unless it holds it. Tickets come in the order in which they were completed, so
        `next` stays at the lowest that has not come: as long as one is missing, a gradient may still follow.
        """
        worker = self.workers[rank]
        worker.ticket = ticket
        if ticket >= self.tickets.total:
            raise UsageError(
                f"--clock {self.job.config.clock}: it has ticket {ticket}, but this run ends after "
                f"{self.tickets.total}: give the data, the batch size and the epochs of the recorded run"
            )
        self.tickets.assign(ticket, self.tickets.total, [])
        self.tickets.take(rank)
        self._taken.add(ticket)
        while self._next in self._taken:
            self._taken.remove(self._next)
            self._next += 1
        self.tickets.assign(self._next, self.tickets.total, [])

    # ---- what no schedule holds ------------------------------------------------------------------------------------

    def _require(self, turn: Turn, fits: bool) -> None:
        if not fits:
            raise UsageError(
                f"the schedule was recorded with algorithm {self._trace.algorithm}, whose turns are not those of "
                f"{self._name} (a worker's {turn.kind} comes where {self._name} has none): replay it with "
                f"{self._trace.algorithm}"
            )

    def _require_one_order(self, job: Job) -> None:
        if job.algorithm.barriers_per_round:
            raise UsageError(
                f"a recorded schedule replays asynchronous algorithms only, and {self._name} waits in rounds"
            )
        if self._is_old and job.algorithm.follows_updates:
            raise UsageError(
                f"a schedule of version 0.1.0 replays asynchronous algorithms without waits, and {self._name} follows "
                "updates: record the run again"
            )
        if self._is_old and self._trace.ties and not has_replicas(job.algorithm.keeps()):
            raise UsageError(
                "the recorded schedule is of version 0.1.0, which gave no number to a gradient that was dropped or "
                "refused, and it has such gradients: record the run again"
            )

    def _require_ordered_buffers(self) -> None:
        if self.world.tables and self.world.workers > 1:
            raise UsageError(
                f"the model's table {next(iter(self.world.tables.shapes))} is read in place while other workers write "
                "it, and no schedule holds what they saw: it is not replayed"
            )
        shared = [name for name, _ in self.module.named_buffers() if self.world.is_shared(name)]
        if shared and self.world.workers > 1:
            raise UsageError(
                f"the model's buffer {shared[0]} is one for all workers, which update it while they compute gradients, "
                "and no schedule holds that order: record and replay with --norm-state worker"
            )

    def _require_unwritten(self, rank: int) -> None:
        """Compares bits, so that NaN equals itself."""
        asked, at = self._asked[rank], self.workers[rank].at
        if at is not None and not torch.equal(asked.view(torch.uint8), at.view(torch.uint8)):
            raise UsageError(
                f"algorithm {self._name} takes its gradients at memory that other workers write meanwhile "
                f"(--read {self.job.config.read}), and no schedule holds what they saw: it is not replayed"
            )

    def _require_frozen_kept(self) -> None:
        for name, kept, version in self._lasting:
            if kept._version != version and self.world.workers > 1:
                raise UsageError(
                    f"the model writes to its parameter {name}, which is one for all workers, while it computes "
                    "gradients, and no schedule holds that order: it is not replayed"
                )

    def _doubts(self) -> list[str]:
        """Where the replay goes on, and may differ from the recorded run."""
        recorded, access = self._trace.algorithm, self._trace.access
        if self._is_old and has_replicas(self.job.algorithm.keeps()):
            return [
                f"the schedule was recorded by version 0.1.0, which numbered pushes only: what workers of {self._name} "
                "exchange beside them may come in another order, and the replay differ"
            ]
        if recorded is not None and recorded != quoted(self._name):
            return [f"the schedule was recorded with algorithm {recorded}: its turns are taken by {self._name}"]
        if access is not None and access is not Access.LOCKED and self.world.workers > 1:
            return [
                f"recorded under --access {access.value}, where turns overlap: the replay takes them one after the "
                "other and may differ; --access locked records an exact order"
            ]
        return []
