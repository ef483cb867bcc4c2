"""Runs of two boxes in processes: they share the data, agree, and survive one another."""

from __future__ import annotations

import signal

import pytest
from box_runs import Boxes, left_over, until
from random_box_kills import AGENT_KINDS, KINDS, kill
from slow import rest_is_slow

from hogwild.config.between import BETWEEN, PAIRS
from hogwild.runs.files import read_json

ELEMENTS = 19232  # of the model of digits, padded


def test_two_boxes_make_one_pass_per_epoch_and_end_with_one_model(tmp_path):
    with Boxes(tmp_path, epochs=4) as boxes:
        boxes.start_all()
        until(lambda: boxes.path(1).exists(), "box 1 starts")
        assert boxes.ended(0, 1) == [0, 0], boxes.output(0) + boxes.output(1)
        summary, other = boxes.summary(), boxes.summary(1)
    assert summary["updates"] == 4 * 45 == sum(summary["boxes_share"])
    assert summary["samples"] == 4 * 1437
    assert summary["exchanges"] >= 2
    assert summary["boxes"] == 2
    assert summary["between"] == {"algorithm": "ad-psgd", "period": 10, "wire": "f32"}
    assert summary["test_loss"] == other["test_loss"]
    assert summary["bytes_sent"] == summary["bytes_received"] == summary["exchanges"] * 4 * ELEMENTS
    assert summary["faults"] == 0
    assert boxes.summary(0) == summary


@pytest.mark.parametrize("wire", ["int8"])
def test_boxes_of_two_workers_agree_with_8_bits(tmp_path, wire: str):
    with Boxes(tmp_path, epochs=6, workers=2, between_wire=wire) as boxes:
        boxes.start_all()
        assert boxes.ended(0, 1) == [0, 0], boxes.output(0) + boxes.output(1)
        summary = boxes.summary()
    assert summary["updates"] == 6 * 45
    assert summary["test_accuracy"] > 0.85
    assert summary["bytes_sent"] < 1.1 * summary["exchanges"] * ELEMENTS


@pytest.mark.slow
@pytest.mark.parametrize("between", [name for name in BETWEEN if name != PAIRS])
def test_texts_between_boxes(tmp_path, between: str):
    with Boxes(tmp_path, epochs=8, between=between) as boxes:
        boxes.start_all()
        assert boxes.ended(0, 1) == [0, 0], boxes.output(0) + boxes.output(1)
        summary = boxes.summary()
    assert summary["updates"] == 8 * 45 == sum(summary["boxes_share"])
    assert summary["exchanges"] > 4
    assert summary["bytes_sent"] == summary["bytes_received"] > 0
    assert summary["test_accuracy"] > 0.8
    assert summary["faults"] == 0


@pytest.mark.parametrize("between", rest_is_slow((PAIRS, "local-sgd", "easgd"), {PAIRS}))
def test_a_killed_courier_is_replaced_and_a_killed_box_comes_back(tmp_path, between: str):
    """Box 0 goes on without either; box 1 takes its model when it is started again by the same command."""
    with Boxes(tmp_path, updates=10**6, between=between) as boxes:
        boxes.start_all()
        until(lambda: boxes.exchanges(0) > 3, "the boxes exchange")
        boxes.courier(0).send_signal(signal.SIGKILL)
        until(lambda: "courier_died" in boxes.faults(0), "the death is told")
        until(lambda: boxes.exchanges_again(0), "the next courier exchanges")

        pids = boxes.pids(1)
        boxes.processes[1].send_signal(signal.SIGKILL)
        until(lambda: not list(left_over(pids)), "its processes end with it")
        boxes.processes[1].wait()
        until(lambda: boxes.faults(0).count("link_lost") >= 1, "box 0 tells it")
        version = boxes.events(0, "train")[-1]["updates"]
        until(lambda: boxes.events(0, "train")[-1]["updates"] > version, "box 0 goes on")
        boxes.start(1)
        until(lambda: "box_joined" in boxes.faults(0), "box 0 tells it")
        until(lambda: boxes.exchanges(1) > 3, "they exchange again")
        assert boxes.faults(1) == ["box_joined"]
        assert {"lost", "joined"} <= {event["event"] for event in boxes.events(0, "box") if event["box"] == 1}
        until(lambda: boxes.events(1, "train"), "it trains for a second")
        loss = boxes.events(1, "train")[0]["train_loss"]
        assert loss < 0.6, "it began with the model of box 0, not with a new one"
        pids = [*boxes.pids(0), *boxes.pids(1)]
        for box in (0, 1):
            boxes.processes[box].send_signal(signal.SIGTERM)
        assert boxes.ended(0, 1) == [130, 130]
        until(lambda: not list(left_over(pids)), "no process is left")


@pytest.mark.slow
def test_the_survivor_of_box_0_ends_well(tmp_path):
    with Boxes(tmp_path, updates=3000, between_linger=1) as boxes:
        boxes.start(0, straggler="0:20")
        boxes.start(1)
        until(lambda: boxes.exchanges(1) > 1, "the boxes exchange")
        pids = boxes.pids(0)
        boxes.processes[0].kill()
        boxes.processes[0].wait()
        until(lambda: not list(left_over(pids)), "its processes end with it")
        assert boxes.ended(1) == [0], boxes.output(1)
        assert boxes.summary(1)["exit_reason"] == "done"
        assert "link_lost" in boxes.faults(1)


@pytest.mark.slow
def test_a_courier_that_stands_still_stops_nobody(tmp_path):
    """SIGSTOP: box 0 loses the link after the time-out and trains on; SIGCONT: they exchange again."""
    with Boxes(tmp_path, updates=10**6, between_timeout=2) as boxes:
        boxes.start_all()
        until(lambda: boxes.exchanges(0) > 3, "the boxes exchange")
        courier = boxes.courier(1)
        courier.suspend()
        until(lambda: "link_lost" in boxes.faults(0), "box 0 notices it")
        versions = [boxes.events(box, "train")[-1]["updates"] for box in (0, 1)]
        until(lambda: all(boxes.events(b, "train")[-1]["updates"] > versions[b] for b in (0, 1)), "both train on")
        courier.resume()
        until(lambda: boxes.exchanges_again(0), "they exchange again")
        assert "box_joined" not in boxes.faults(0), "it is the same box"
        for box in (0, 1):
            boxes.processes[box].send_signal(signal.SIGTERM)
        assert boxes.ended(0, 1) == [130, 130]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *AGENT_KINDS])
@pytest.mark.parametrize("box", [0, 1])
def test_a_kill_at_any_time(tmp_path, kind: str, box: int):
    assert kill(tmp_path, kind, box, 0.3)["updates"]


@pytest.mark.slow
def test_too_few_boxes(tmp_path):
    with Boxes(tmp_path, updates=10**6, min_boxes=2, between_timeout=1) as boxes:
        boxes.start_all()
        until(lambda: boxes.exchanges(0) > 1, "the boxes exchange")
        boxes.processes[1].kill()
        assert boxes.ended(0) == [4]
        assert "1 boxes left, --min-boxes is 2" in boxes.output(0)


def test_a_box_that_was_started_differently_is_refused(tmp_path):
    with Boxes(tmp_path, epochs=2) as boxes:
        boxes.start(0)
        boxes.start(1, lr=0.02)
        assert boxes.ended(0, 1) == [2, 2]
        assert "box 1 was started with other options" in boxes.output(0)
    assert read_json(tmp_path / "run" / "summary.json") == {}
