"""The texts of algorithms with a box as the worker: what they do to models of one parameter, in closed form."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from loopback import Model

from hogwild.algorithms.base import Barrier
from hogwild.boxes.outer import outer_world
from hogwild.boxes.simulated_texts import Texts
from hogwild.config.between import outer
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.shared.world import World

LR, CURVATURES, MINIMA = 0.1, (1.0, 3.0, 0.5), (1.0, -1.0, 2.0)


def gradient(b: int, x: torch.Tensor) -> torch.Tensor:
    """Of f_b = h_b / 2 (x - c_b)^2."""
    return CURVATURES[b] * (x - MINIMA[b])


class Boxes:
    """Boxes whose workers make plain steps, and the text between them; without latency unless the test waits."""

    def __init__(self, name: str, options: str | None, count: int, start: float = 0.0) -> None:
        algorithm = outer(name, options)
        self.world = outer_world(Model(torch.full((1,), start)), algorithm, count, torch.float64)
        self.x = [self.world.arena.tensor("x").clone() for _ in range(count)]
        still = SimpleNamespace(hold_until=lambda _time: None)
        pacing = SimpleNamespace(end=lambda _version: 0)
        boxes = [
            SimpleNamespace(x=x, simulation=still, pacing=pacing, version=0, is_busy=False, has_left=False)
            for x in self.x
        ]
        config = SimpleNamespace(latency=0.0, bandwidth=0.0, between_wait="none", between_wire="f32", seed=0)
        self.texts = Texts(boxes, config, algorithm, self.world)

    def update(self, b: int, count: int = 1) -> None:
        for _ in range(count):
            self.x[b] -= LR * gradient(b, self.x[b])

    def arrive(self) -> None:
        while self.texts._flying:
            self.texts.arrive()

    def values(self, *names: str) -> list[float]:
        return [float(x[0]) for x in self.x] + [float(self.world.arena.tensor(name)[0]) for name in names]


def test_easgd_between_boxes_in_turn():
    boxes, found = Boxes("easgd", "alpha=0.25", 2), []
    for _ in range(3):
        for b in range(2):
            boxes.update(b, 2)
            boxes.texts.begin(b, 0.0)
            boxes.arrive()
        found.append(boxes.values("x"))
    assert found[0] == pytest.approx([0.1425, -0.370625, -0.091875], abs=1e-12)
    assert found[1] == pytest.approx([0.2061, -0.5168421875, -0.1673140625], abs=1e-12)
    assert found[2] == pytest.approx([0.225877234375, -0.581502078125, -0.218000890625], abs=1e-12)


def test_async_diloco_keeps_an_update_that_is_made_while_the_delta_travels():
    boxes, found = Boxes("async-diloco", "outer_every=2,outer_lr=0.7,outer_momentum=0.9", 2), []
    for _ in range(3):
        for b in range(2):
            boxes.update(b, 2)
            boxes.texts.begin(b, 0.0)
            boxes.update(b)
            boxes.arrive()
        found.append(boxes.values("x", "u"))
    assert found[0] == pytest.approx([0.1475, -0.3598, -0.2128, 0.16], abs=1e-12)
    assert found[1] == pytest.approx([-0.05870625, -0.550929855, -0.456820455, 0.2592635], abs=1e-12)
    assert found[2] == pytest.approx([-0.276492908125, -0.7050336143043, -0.6390203029892, 0.259801393225], abs=1e-12)


class Workers:
    """The same text with plain workers, in turn."""

    def __init__(self, name: str, options: str | None, count: int) -> None:
        algorithm = outer(name, options)
        world = World.create(Model(torch.zeros(1)), algorithm.keeps(), count, dtype=torch.float64)
        self.control, declared, rounds = world.control, algorithm.keeps(), algorithm.barriers_per_round
        self.views = [WorkerView(world, b, declared, barriers_per_round=rounds) for b in range(count)]
        for b, view in enumerate(self.views):
            view.lr = LR
            self.control.join(b, rounds, 0.0)
        self.texts = [algorithm.worker(view) for view in self.views]
        for text in self.texts:
            next(text)

    def turn(self) -> None:
        requests = [
            text.send([gradient(b, view.replica[:1])])
            for b, (text, view) in enumerate(zip(self.texts, self.views, strict=True))
        ]
        while isinstance(requests[0], Barrier):
            for view in self.views:
                view.rounds.generation = self.control.arrive(view.rank)
            requests = [text.send(None) for text in self.texts]

    def values(self) -> list[float]:
        return [float(view.replica[0]) for view in self.views]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("easgd", "alpha=0.25"),
        ("downpour", None),
        ("async-diloco", "outer_every=2,activation=0.25"),
        ("d-psgd", "topology=ring"),
        ("local-sgd", "outer_lr=1.25"),
        ("slowmo", None),
        ("diloco", "outer_momentum=0.5"),
    ],
)
def test_boxes_of_one_worker_are_workers(name: str, options: str | None):
    """Period 1, no latency, in turn: the text between boxes does what it does between workers."""
    boxes, workers = Boxes(name, options, 3), Workers(name, options, 3)
    for _ in range(7):
        for b in range(3):
            boxes.update(b)
            boxes.texts.begin(b, 0.0)
            boxes.arrive()
        workers.turn()
        assert boxes.values() == pytest.approx(workers.values(), abs=1e-12)


def test_a_round_does_not_wait_for_a_box_that_has_left():
    boxes = Boxes("local-sgd", None, 3)
    for b in (0, 1):
        boxes.update(b)
        boxes.texts.begin(b, 0.0)
    assert not boxes.texts._flying
    boxes.texts.leave(2, 0.0)
    boxes.arrive()
    assert boxes.values() == pytest.approx([-0.1, -0.1, 0.0])


def test_what_a_box_does_while_it_waits_stays():
    """x_0 = 0.1 at the barrier, then one more update of 0.09; the mean of 0.1 and -0.3 is taken without it."""
    boxes = Boxes("local-sgd", None, 2)
    boxes.update(0)
    boxes.texts.begin(0, 0.0)
    boxes.update(0)
    boxes.update(1)
    boxes.texts.begin(1, 0.0)
    boxes.arrive()
    assert boxes.values() == pytest.approx([-0.1 + 0.09, -0.1])
