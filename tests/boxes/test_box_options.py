"""What boxes cannot do yet is refused by name, in one line, before anything starts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hogwild.boxes.facts import require_supported
from hogwild.boxes.leases import block_of
from hogwild.boxes.part import boxes_of, part_of
from hogwild.boxes.rendezvous import Rendezvous
from hogwild.config import Config
from hogwild.drivers.job.batches import StreamOrder
from hogwild.errors import UsageError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"between": "easgd", "between_wire": "int8"}, "easgd sends snapshots to all boxes: use f32"),
        ({"between": "local-sgd", "between_wait": "crew"}, "real ones never wait"),
        ({"between_wait": "crew"}, "nobody waits in ad-psgd"),
        (
            {"between": "diloco", "between_options": "momentum=0.9"},
            "has no option 'momentum' between boxes; it has: ou",
        ),
        ({"between": "diloco", "between_options": "outer_momentum=2"}, "outer_momentum: '2' is not allowed"),
        (
            {"between": "async-diloco", "between_options": "activation=1", "clock": "gamma", "boxes": 2},
            "activation is 1",
        ),
        ({"between": "d-psgd", "clock": "gamma", "boxes": 4, "between_options": "topology=no"}, "no"),
        ({"between": "sgp"}, "its gradients are those of a rescaled model"),
        ({"between": "d2"}, "needs the workers' gradients"),
        ({"between": "asgd"}, "there is no such algorithm between boxes"),
        ({"algorithm": "easgd"}, "its workers have replicas"),
        ({"algorithm": "ssgd"}, "its workers wait for one another"),
        ({"clock": "gamma"}, "needs several boxes in a simulated run: add --boxes 2"),
        ({"clock": "const:4", "boxes": 2}, "draws no durations, which boxes need"),
        ({"clock": "gamma", "boxes": 2, "box_straggler": {2: 3.0}}, "there is no box 2; they are 0 to 1"),
        ({"clock": "gamma", "boxes": 2, "between_linger": 3.0}, "between_linger concerns worker processes"),
        ({"boxes": 2}, "boxes is for simulated boxes; torchrun says"),
        ({"box_straggler": {0: 2.0}}, "box_straggler is for simulated boxes"),
        ({"resume": "runs/x", "ckpt": "best"}, "ckpt is not supported .* each box goes on from its own"),
        ({"shard": "label"}, "shard is not supported"),
        ({"dtype": "float64", "between_wire": "int8"}, "int8 is for float32, dtype is float64"),
        ({"record": True}, "record is not supported"),
        ({"device": "cuda"}, "device cuda is not supported"),
    ],
)
def test_what_is_not_there_yet_is_named(options: dict, words: str):
    with pytest.raises(UsageError, match=words):
        Config(**{"between": "ad-psgd", **options})


def test_what_only_the_job_tells_is_refused_too():
    stream = StreamOrder(samples=10, workers=1, batch_size=2, seed=0)
    with pytest.raises(UsageError, match="does not support streams"):
        require_supported(SimpleNamespace(order=stream))
    require_supported(SimpleNamespace(order=None))


def test_options_of_boxes_need_boxes():
    with pytest.raises(UsageError, match="between_wire is for runs of several boxes"):
        Config(between_wire="int8")
    assert Config(between="ad-psgd", between_wire="int8").between_period == 50


def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name in ("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_the_place_among_the_boxes_is_that_of_torchrun(monkeypatch):
    environment(monkeypatch, WORLD_SIZE="4", RANK="2", MASTER_ADDR="here", MASTER_PORT="29500")
    assert boxes_of(Config(between="ad-psgd")) == Rendezvous(2, 4, "here", 29500)
    with pytest.raises(UsageError, match="torchrun has started 4 boxes, and nothing says how"):
        boxes_of(Config())
    environment(monkeypatch, WORLD_SIZE="1", RANK="0", MASTER_ADDR="here", MASTER_PORT="29500")
    config = Config(between="ad-psgd")
    assert boxes_of(config) == Rendezvous(0, 1, "here", 29500), "the others may come when it is resumed"
    alone = Config()
    assert boxes_of(alone) is None
    assert part_of(alone) is alone
    environment(monkeypatch)
    assert boxes_of(Config()) is None
    with pytest.raises(UsageError, match="between ad-psgd is for the boxes that torchrun starts"):
        boxes_of(config)
    environment(monkeypatch, WORLD_SIZE="2", RANK="0")
    with pytest.raises(UsageError, match="environment of torchrun is not complete"):
        boxes_of(config)


@pytest.mark.parametrize(("tickets", "boxes"), [(1, 2), (180, 2), (10_000, 2), (10_000_000, 16)])
def test_blocks_are_small_beside_a_run_and_not_too_many(tickets: int, boxes: int):
    block = block_of(tickets, boxes)
    assert 1 <= block <= max(1, tickets // boxes)
    assert tickets / block <= 1000
