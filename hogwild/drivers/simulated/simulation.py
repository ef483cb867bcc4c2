"""The simulator: runs the same algorithms, views and kernels in one process, under a virtual clock.

A min-heap orders the workers by the virtual time at which their gradient is due. The next one applies its update, which
takes no virtual time, and starts its next gradient. Workers that waited for that update resume, and workers whose
gradient it cancels restart, at the same virtual time. Runs are repeatable bit for bit.

A gradient is that of the parameters at the time of its request. With a private snapshot these do not change before the
gradient is due, so it is computed only then and no gradient is held in memory; with in-place reads it is computed at
the request. Averages of Full Normalization that all workers share are read and updated when the gradient is computed. A
gradient that takes longer than Gradient.within is never computed: its worker receives None when that time has passed.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Barrier, Gradient, Gradients, Update
from hogwild.buffers import has_replicas
from hogwild.drivers.instruments.left_out import refuse
from hogwild.drivers.job.forward import Forward
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.model import smallest_batch
from hogwild.drivers.job.samples import BadSample, Reader
from hogwild.drivers.simulated.clocks import Clock, DelayClock, TimedClock, TraceClock
from hogwild.drivers.simulated.workers import Push, SimulatedWorker
from hogwild.drivers.view.own_writes import OwnWrites
from hogwild.drivers.view.worker_view import view_of
from hogwild.errors import UsageError
from hogwild.shared.control import NO_TICKET, Ledger, Rounds, Tickets, Versions
from hogwild.shared.devices import to_device
from hogwild.shared.layout import trainable
from hogwild.shared.world import World


class Simulation:
    """Simulated workers on one world. `advance` completes one request for a gradient; `now` is the virtual time.

    `on_bad` is called with the samples of a batch that cannot be read, and its ticket; it may raise DataError.
    """

    def __init__(
        self, job: Job, world: World, module: nn.Module, clock: Clock,
        on_bad: Callable[[Sequence[BadSample], int], object] = refuse,
    ) -> None:  # fmt: skip
        config = job.config
        self.job, self.world, self.module, self.clock = job, world, module, clock
        self.tickets: Tickets = world.control
        self.versions: Versions = world.control
        self.rounds: Rounds = world.control
        self.ledger: Ledger = world.control
        self.now = 0.0
        self.computed = 0  # gradients
        self.messages = self.moved_bytes = 0  # between the workers and the shared memory
        self.forward = Forward(module, config, world.arena.device)
        self._reader, self._on_bad = Reader(job.data.train, smallest_batch(module, config.batch_size)), on_bad
        self._parameters = trainable(module)
        self._own_writes = OwnWrites(module)
        self._has_buffers = any(True for _ in module.buffers())
        self._inplace = config.read == "inplace"
        self._due: list[tuple[float, int, int]] = []
        self._requests = 0
        self._history: deque[Tensor] = deque(maxlen=clock.largest + 1 if isinstance(clock, DelayClock) else 1)
        self._remembered = 0  # versions
        self._trace = iter(clock.pushes) if isinstance(clock, TraceClock) else iter(())
        waits = job.algorithm.barriers_per_round or job.algorithm.follows_updates
        if isinstance(clock, DelayClock) and (waits or self._inplace):
            raise UsageError("a clock that draws delays is for asynchronous algorithms with --read snapshot")
        if isinstance(clock, DelayClock) and has_replicas(job.algorithm.keeps()):
            raise UsageError(
                f"a clock that draws delays is for snapshots of one master, and algorithm {config.algorithm} trains "
                "each worker's own replica: use --clock gamma, round-robin or random"
            )
        if isinstance(clock, TraceClock) and waits:
            raise UsageError("a recorded schedule replays asynchronous algorithms only")
        world.adopt(module, 0)
        module.train()
        self.workers = []
        for rank in range(world.workers):
            view = view_of(job, world, rank, lambda: self.now)
            self.rounds.join(rank, job.algorithm.barriers_per_round, 0.0)
            self.workers.append(SimulatedWorker(view, job.algorithm.worker(view)))
        for rank, worker in enumerate(self.workers):
            self._serve(rank, next(worker.steps))
        self._remember()

    def advance(self) -> Push | None:
        """Completes the request that is due next. None if no ticket is left."""
        rank = self._next_rank()
        if rank is None:
            return None
        worker = self.workers[rank]
        ticket, given_up = worker.ticket, worker.gives_up
        worker.view.lr = self.job.schedule.lr(ticket)
        if given_up:
            loss = math.nan
            worker.view.drop()
            request = worker.steps.send(None)
        else:
            loss, g = worker.answer or self._gradient(rank)
            worker.answer = None
            if g is None:
                return self._pass_over(rank)
            self.computed += 1
            request = worker.steps.send(g)
            outcome = worker.view.outcome
            if not (outcome.refused or outcome.cancelled):  # else the batch leaves no trace in them
                self._publish(rank)
            if not outcome.cancelled:  # else the ticket stays in hand
                self.ledger.record_loss(rank, loss, worker.samples)
                self.tickets.complete(rank)
                worker.completed += 1
        self._remember()
        self._serve(rank, request)
        self._follow_update()
        return Push(self.now, rank, ticket, loss, given_up)

    def _pass_over(self, rank: int) -> Push:
        """The batch of the worker's ticket is empty: the ticket is completed, and the next one begun."""
        worker = self.workers[rank]
        push = Push(self.now, rank, worker.ticket, math.nan, given_up=True)
        self.tickets.complete(rank)
        worker.completed += 1
        self._take(rank)
        self._follow_update()
        return push

    def _publish(self, rank: int) -> None:
        """The model's own buffers, as they were after the worker's forward pass."""
        if not self._has_buffers:
            return
        for name, value in self.workers[rank].buffers.items():
            self.module.get_buffer(name).detach().copy_(value)
        self.world.publish(self.module, rank)

    # ---- the next worker -------------------------------------------------------------------------------------------

    def _next_rank(self) -> int | None:
        if isinstance(self.clock, TimedClock):
            while self._due:
                now, number, rank = heapq.heappop(self._due)
                if number == self.workers[rank].request:
                    self.now = now
                    return rank
            return None
        if isinstance(self.clock, TraceClock):
            push = next(self._trace, None)
            if push is None:
                return None
            rank, self.workers[push[0]].ticket = push
            self.now += 1.0 / len(self.workers)
            return rank
        rank = self.computed % len(self.workers)
        if self.workers[rank].ticket == NO_TICKET:
            return None
        self.now += 1.0 / len(self.workers)
        self._go_back(rank)
        return rank

    def _go_back(self, rank: int) -> None:
        """Puts the model of `delay` versions ago into the worker's snapshot: its gradient then has exactly the delay
        that was drawn.
        """
        assert isinstance(self.clock, DelayClock)
        delay = min(self.clock.delay(), len(self._history) - 1)
        self.workers[rank].view.snapshot.copy_(self._history[-1 - delay])
        self.versions.set_pulled(rank, self.versions.version - delay)

    def _remember(self) -> None:
        if isinstance(self.clock, DelayClock) and self.versions.version >= self._remembered:
            self._remembered += 1
            self._history.append(self.workers[0].view.x.clone())

    # ---- requests -------------------------------------------------------------------------------------------------

    def _serve(self, rank: int, request: Gradient | Barrier | Update) -> None:
        worker = self.workers[rank]
        if isinstance(request, Barrier):
            worker.at_barrier = True
            worker.ready = self._after_traffic(worker, self.now)
            self.rounds.arrive(rank)
            self._release()
            return
        if isinstance(request, Update):
            worker.at_update = True
            return
        self._ask(worker, request)
        self._take(rank)

    def _take(self, rank: int) -> None:
        """The worker's next ticket for the gradient that it has asked for, if there is one."""
        worker = self.workers[rank]
        worker.ticket = self.tickets.take(rank)
        if worker.ticket == NO_TICKET:
            self._after_traffic(worker, self.now)
            self.rounds.leave(rank)
            self._release()
            return
        self._begin(rank)

    def _ask(self, worker: SimulatedWorker, request: Gradient) -> None:
        """Records the worker's request for its next gradient."""
        if request.within is not None and not isinstance(self.clock, TimedClock):
            raise UsageError(
                f"--clock {self.job.config.clock} draws no durations, and algorithm {self.job.config.algorithm} gives "
                "up gradients after a time: use --clock gamma, round-robin or random"
            )
        worker.cancels, worker.within, worker.request = request.cancel, request.within, 0
        worker.at, worker.parameters = request.at, self.world.layout.views(request.at)

    def _begin(self, rank: int) -> None:
        """Starts the worker's gradient of its ticket."""
        worker = self.workers[rank]
        if isinstance(self.clock, TimedClock):
            self._requests += 1
            worker.request = self._requests
            duration = self.clock.duration(rank)
            worker.gives_up = worker.within is not None and duration > worker.within
            takes = worker.within if worker.within is not None and worker.gives_up else duration
            due = self._after_traffic(worker, max(self.now, worker.ready)) + takes
            heapq.heappush(self._due, (due, self._requests, rank))
        if self._inplace and not worker.gives_up:
            worker.answer = self._gradient(rank)
            own = [(name, b) for name, b in self.module.named_buffers() if not self.world.is_shared(name)]
            worker.buffers = {name: buffer.clone() for name, buffer in own}

    def _follow_update(self) -> None:
        """Resumes the workers that waited for an update just made, and restarts the gradients that it cancels."""
        for rank, worker in enumerate(self.workers):
            if worker.at_update and not self.versions.awaits_update(rank):
                worker.at_update = False
                self._serve(rank, worker.steps.send(None))
            elif worker.cancels and worker.request and self.versions.pulled_version(rank) < self.versions.version:
                worker.view.drop()
                worker.steps = self.job.algorithm.worker(worker.view)
                request = next(worker.steps)
                assert isinstance(request, Gradient), "an algorithm first requests a gradient"
                self._ask(worker, request)
                self._begin(rank)

    def _release(self) -> None:
        """Resumes the workers at a barrier, in the order of their ranks, once all that have a ticket have come."""
        waiting = [worker for worker in self.workers if worker.at_barrier]
        left = [worker for worker in self.workers if worker.ticket != NO_TICKET]
        if not waiting or len(waiting) < len(left):
            return
        opens = max(worker.ready for worker in waiting)
        for worker in waiting:
            worker.at_barrier, worker.ready = False, opens
        requests = []
        for worker in waiting:
            worker.view.rounds.generation = max(self.rounds.arrived(w.view.rank) for w in waiting)
            requests.append((worker.view.rank, worker.steps.send(None)))
        for rank, request in requests:
            self._serve(rank, request)

    def _after_traffic(self, worker: SimulatedWorker, since: float) -> float:
        """The time at which the worker's messages since its last request have arrived: a latency for each message, plus
        bytes / bandwidth.
        """
        config, traffic = self.job.config, worker.view.buffers.traffic.take()
        self.messages += traffic.messages
        self.moved_bytes += traffic.moved_bytes
        return since + config.latency * traffic.messages + traffic.moved_bytes / (config.bandwidth or math.inf)

    def _gradient(self, rank: int) -> tuple[float, Gradients | None]:
        """Loss and gradients of the worker's batch at its parameters; NaN and None if nothing of it can be read. Random
        numbers depend on the batch alone.
        """
        job, worker = self.job, self.workers[rank]
        assert worker.at is not None, "a gradient is computed once it is asked for"
        for parameter, view in zip(self._parameters, worker.parameters, strict=True):
            parameter.data = view
        if self._has_buffers:
            self.world.recall(self.module, rank)
        self._own_writes.begin(worker.view, worker.at)
        batch = self._reader.of_ticket(job.order, worker.ticket, rank, worker.completed)
        worker.samples = len(batch)
        if batch.bad:
            self._on_bad(batch.bad, worker.ticket)
        if not len(batch):
            return math.nan, None
        inputs, targets = to_device((batch.inputs, batch.targets), self.world.arena.device, self.world.layout.dtype)
        loss = job.data.loss(self.forward(inputs), targets)
        torch.autograd.backward(loss)
        self._own_writes.check()
        gradients = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        return float(loss.detach()), gradients
