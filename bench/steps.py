"""CPU time of a worker's whole step, hogwild's against a plain loop's, taking turns in the same process.

    python -m bench.steps                                     the examples, 1 and 2 workers
    python -m bench.steps --tasks mf_sgd mf_adagrad           matrix factorisation with a million rows

Each worker of a run of `hogwild.launch` makes some steps of its own loop, then some of a plain loop (forward, backward,
torch's optimizer) on a private model with the same batches, and so on. A figure is the least CPU time of the thread for
a step in one turn, so that a busy machine does not matter much; with several workers it is the mean of theirs. `fit`
makes its own loop: it is timed between the calls of a step_fn, with the reading of the batch, and its plain loop, which
takes turns inside the step_fn, reads batches by indexing tensors with a permutation.

The rows of a matrix factorisation come anew in every step, as in a pass over data: if few batches came again and again,
their rows would stay in the cache, and the loop that touches less beside them would look faster than it is.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hogwild
from examples.a3c_cartpole import ActorCritic, CartPole, some_steps
from examples.char_gpt import GPT, Windows, text
from examples.cifar_resnet import ResNet, coloured
from examples.matrix_factorisation import Factors

ROWS, RANK = 500_000, 32  # of each of the two tables
BATCHES = 512  # of 1024 pairs; their rows are more than caches hold
STEPS = 50  # of both loops in a round


@dataclass(frozen=True)
class Task:
    """What both loops do. `loss(model, batch)`; `turn`: steps of a turn; `options` of hogwild."""

    model: Callable[[], nn.Module]
    batches: Callable[[], list[Any]]
    loss: Callable[[nn.Module, Any], Tensor]
    optimizer: Callable[[nn.Module], Callable[[], object]]
    options: dict[str, Any] = field(default_factory=dict)
    turn: int = 50
    refreshes: bool = False


def optimizer(kind: type[torch.optim.Optimizer], clip: float = 0.0, /, **options: Any) -> Any:
    """A function of a model that returns the plain update."""

    def make(model: nn.Module) -> Callable[[], object]:
        inner = kind(model.parameters(), **options)

        def update() -> None:
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            inner.step()
            inner.zero_grad()

        return update

    return make


class Million(Factors):
    def __init__(self) -> None:
        super().__init__(ROWS, ROWS, 3.0)
        for name in ("users", "items"):
            setattr(self, name, nn.Embedding.from_pretrained(torch.zeros(ROWS, RANK), freeze=False, sparse=True))


def pairs(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(ROWS, (count, 2), generator=generator), torch.rand(count, generator=generator)


def rating_batches() -> list[Any]:
    x, y = pairs(1024 * BATCHES)
    return list(zip(x.split(1024), y.split(1024), strict=True))


def squared(model: nn.Module, batch: Any) -> Tensor:
    return F.mse_loss(model(batch[0]), batch[1])


def classes(model: nn.Module, batch: Any) -> Tensor:
    output = model(batch[0])
    return F.cross_entropy(output.flatten(0, -2), batch[1].flatten())


def windows() -> list[Any]:
    data = Windows(text()[0][:20_000], stride=7)
    rows = [torch.utils.data.default_collate([data[i + k] for k in range(32)]) for i in range(0, 32 * 16, 32)]
    return list(rows)


def images() -> list[Any]:
    train, _ = coloured(400)
    return [torch.utils.data.default_collate([train[i + k] for k in range(32)]) for i in range(0, 320, 32)]


def played(model: nn.Module, game: CartPole) -> Tensor:
    loss, _, is_over = some_steps(model, game)
    if is_over:
        game.reset()
    return loss


TASKS: dict[str, Task] = {
    "a3c_cartpole": Task(
        ActorCritic, lambda: [CartPole(0)], played,
        optimizer(torch.optim.RMSprop, 40.0, lr=2e-3),
        {"algorithm": "rmsprop", "lr": 2e-3, "clip": 40.0}, refreshes=True,
    ),
    "matrix_factorisation": Task(
        partial(Factors, 20_000, 20_000, 3.0),
        lambda: [(x % 20_000, y) for x, y in rating_batches()], squared,
        optimizer(torch.optim.Adagrad, lr=0.1),
        {"algorithm": "adagrad", "lr": 0.1, "table_rule": "row-adagrad"}, turn=10,
    ),
    "char_gpt": Task(
        GPT, windows, classes, optimizer(torch.optim.AdamW, 1.0, lr=2e-3),
        {"algorithm": "adamw", "lr": 2e-3, "clip": 1.0}, turn=5,
    ),
    "cifar_resnet": Task(
        partial(ResNet, 8), images, classes, optimizer(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=5e-4),
        {"momentum": 0.9, "weight_decay": 5e-4, "lr": 0.05}, turn=3,
    ),
    "mf_sgd": Task(Million, rating_batches, squared, optimizer(torch.optim.SGD, lr=0.1), {"lr": 0.1}, turn=10),
    "mf_adagrad": Task(
        Million, rating_batches, squared, optimizer(torch.optim.Adagrad, lr=0.1),
        {"algorithm": "adagrad", "lr": 0.1, "table_rule": "adagrad"}, turn=10,
    ),
}  # fmt: skip
EXAMPLES = ("a3c_cartpole", "matrix_factorisation", "char_gpt", "cifar_resnet")


def seconds(step: Callable[[Any], object], batches: Iterator[Any], count: int) -> float:
    began = time.thread_time()
    for _ in range(count):
        step(next(batches))
    return (time.thread_time() - began) / count


def plain_step(task: Task) -> Callable[[Any], None]:
    model = task.model()
    update = task.optimizer(model)

    def step(batch: Any) -> None:
        task.loss(model, batch).backward()
        update()

    return step


def alternate(worker: hogwild.Worker, name: str, rounds: int) -> tuple[float, float]:
    """(hogwild, plain): the least CPU time of a step."""
    task = TASKS[name]
    own, given = plain_step(task), task.batches()
    ours, theirs = cycle(given), cycle(given)

    def step(batch: Any) -> None:
        if task.refreshes:
            worker.refresh()
        worker.step(task.loss(worker.model, batch))

    count = max(rounds * STEPS // task.turn, rounds) + 1
    turns = [(seconds(step, ours, task.turn), seconds(own, theirs, task.turn)) for _ in range(count)][1:]
    return min(turn[0] for turn in turns), min(turn[1] for turn in turns)


class Timed:
    """step_fn of fit: times what passes between its calls, and in turns a plain loop; writes the least of both into a
    file.
    """

    def __init__(self, task: str, folder: str) -> None:
        self.task, self.folder = task, folder
        self.calls, self.began = 0, 0.0
        self.turns: list[tuple[float, float]] = []

    def __reduce__(self) -> tuple[type[Timed], tuple[str, str]]:
        return Timed, (self.task, self.folder)  # the calls of the parent's trial do not count

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        task = TASKS[self.task]
        if self.calls == 0:
            self.plain, self.batches = plain_step(task), read_anew(*pairs(1024 * BATCHES))
        if self.calls % task.turn == 0:
            ours = (time.thread_time() - self.began) / task.turn
            self.turns.append((ours, seconds(self.plain, self.batches, task.turn)))
            if len(found := self.turns[2:]):  # the first turns begin before the loop
                least = [min(turn[k] for turn in found) for k in range(2)]
                Path(self.folder, str(os.getpid())).write_text(json.dumps(least))
            self.began = time.thread_time()
        self.calls += 1
        return task.loss(model, batch)


def read_anew(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of 1024 in a new order in every pass."""
    while True:
        for index in torch.randperm(len(y)).split(1024):
            yield x[index], y[index]


def launched(name: str, workers: int, rounds: int) -> tuple[float, float]:
    task = TASKS[name]
    with tempfile.TemporaryDirectory() as folder:
        result = hogwild.launch(
            alternate, task.model, args=(name, rounds), workers=workers, out=folder, quiet=True, **task.options
        )
    return tuple(sum(found[k] for found in result.returns) / workers for k in range(2))  # type: ignore[return-value]


def fitted(name: str, workers: int, rounds: int) -> tuple[float, float]:
    """(hogwild, plain): the least CPU time of a step of fit on the pairs of a matrix factorisation."""
    task = TASKS[name]
    with tempfile.TemporaryDirectory() as folder:
        timed = Timed(name, folder)
        hogwild.fit(
            task.model, (pairs(1024 * BATCHES), None), step_fn=timed, workers=workers, batch_size=1024, out=folder,
            updates=workers * (STEPS * rounds + 3 * task.turn), ckpt_every=0, quiet=True, **task.options,
        )  # fmt: skip
        files = [path for path in Path(folder).iterdir() if path.name.isdigit() and path.name != str(os.getpid())]
        found = [json.loads(path.read_text()) for path in files]
    return sum(each[0] for each in found) / len(found), sum(each[1] for each in found) / len(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", nargs="*", default=EXAMPLES, choices=[*TASKS, []])
    parser.add_argument("--workers", type=int, nargs="*", default=(1, 2))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--fit", action="store_true", help="time fit too: tasks mf_* alone")
    given = parser.parse_args()
    print(f"{'task':28}{'workers':>8}{'hogwild us':>12}{'plain us':>12}{'ratio':>8}{'more us':>9}")
    for name in given.tasks:
        for workers in given.workers:
            show(name, workers, *launched(name, workers, given.rounds))
            if given.fit:
                show(f"{name}, fit", workers, *fitted(name, workers, given.rounds))


def show(name: str, workers: int, ours: float, theirs: float) -> None:
    figures = f"{1e6 * ours:12.1f}{1e6 * theirs:12.1f}{ours / theirs:8.3f}{1e6 * (ours - theirs):9.1f}"
    print(f"{name:28}{workers:8}{figures}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
