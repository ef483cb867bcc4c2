"""Programs under torchrun itself: hogwild.fit and hogwild.launch between boxes, and agents that are killed."""

from __future__ import annotations

import json
import textwrap
from functools import partial
from pathlib import Path

import box_runs
import pytest
from box_runs import left_over
from torchrun import Agents

pytestmark = pytest.mark.slow
until = partial(box_runs.until, patience_s=240.0)  # each process imports torch, which takes a busy machine a minute

MODEL = """
    import json, sys
    import torch
    import torch.nn as nn
    import hogwild

    OPTIONS = {"between": "ad-psgd", "between_period": 10, "workers": 1, "lr": 0.05, "name": "run", "seed": 3,
               "out": "runs", "device": "cpu"}

    def model():
        return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
"""
FIT = """
    def data(samples):
        torch.manual_seed(1)
        x = torch.randn(samples, 8)
        return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()

    if __name__ == "__main__":
        train = data(2048)
        again = {"epochs": 6, "resume": sys.argv[1]} if sys.argv[1:] else {"epochs": 4}
        result = hogwild.fit(model, (train, train), batch_size=32, **OPTIONS, **again)
        print(json.dumps({"updates": result.summary["updates"], "loss": result.summary["test_loss"]}))
"""
LAUNCH = """
    def loop(worker, scale):
        steps, first = 0, float(torch.rand(()))
        while not worker.should_stop:
            x = torch.randn(32, 8)
            y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
            worker.step(scale * nn.functional.cross_entropy(worker.model(x), y), samples=32)
            steps += 1
        return [worker.box, worker.boxes, steps, first]

    def evaluate(model, info):
        return {"size": float(sum(p.detach().square().sum() for p in model.parameters()))}

    if __name__ == "__main__":
        result = hogwild.launch(loop, model, args=(1.0,), evaluate=evaluate, updates=300, eval_updates=50, **OPTIONS)
        print(json.dumps({"updates": result.summary["updates"], "size": result.summary["size"],
                          "returns": result.returns[0], "evaluations": len(result.history)}))
"""


def run(folder: Path, text: str, *arguments: str) -> list[dict]:
    """What both boxes have printed."""
    (folder / "script.py").write_text(textwrap.dedent(MODEL) + textwrap.dedent(text))
    with Agents(folder, boxes=2) as agents:
        agents.start(0, "script.py", *arguments)
        assert agents.agents[0].wait(240) == 0, agents.output(0).read_text()
    lines = agents.output(0).read_text().splitlines()
    return [json.loads(line[line.index("{") :]) for line in lines if '"updates"' in line][-2:]


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_fit_between_boxes(tmp_path):
    found = run(tmp_path, FIT)
    assert len(found) == 2
    whole = summary(tmp_path / "runs" / "run")
    assert whole["updates"] == 4 * 64 == sum(whole["boxes_share"])
    assert len({box["loss"] for box in found}) == 1, "they end with one model, and one set of statistics"
    assert found[0]["loss"] < 0.8
    again = run(tmp_path, FIT, "runs/run")
    assert summary(tmp_path / "runs" / "run")["updates"] == 6 * 64
    assert again[0]["loss"] == again[1]["loss"] < found[0]["loss"]


def test_own_loops_between_boxes(tmp_path):
    found = run(tmp_path, LAUNCH)
    whole = summary(tmp_path / "runs" / "run")
    assert whole["updates"] == 300 == sum(whole["boxes_share"])
    assert whole["samples"] == 300 * 32
    assert whole["exchanges"] > 4
    assert len({box["size"] for box in found}) == 1
    returns = sorted(box["returns"] for box in found)
    assert [found[:2] for found in returns] == [[0, 2], [1, 2]]
    assert sum(steps for _, _, steps, _ in returns) >= 300
    assert returns[0][3] != returns[1][3], "the loops draw other numbers in each box"
    assert max(box["evaluations"] for box in found) > 1 == min(box["evaluations"] for box in found)


# ---- agents that are killed -----------------------------------------------------------------------------------

TRAIN = (
    "-m", "hogwild.train", "--between", "ad-psgd", "--between-period", "10", "--between-timeout", "3", "--workers", "1",
    "--batch-size", "32", "--device", "cpu", "--name", "run", "--out", "runs", "--updates",
)  # fmt: skip


def events(folder: Path, box: str, kind: str) -> list[dict]:
    path = folder / "runs" / "run" / box / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in found if event["kind"] == kind]


def exchanges(folder: Path, box: str) -> int:
    lines = events(folder, box, "between")
    return lines[-1]["exchanges"] if lines else 0


def faults(folder: Path, box: str) -> list[str]:
    return [event["reason"] for event in events(folder, box, "fault")]


def has_ended_in_order(folder: Path, box: str) -> None:
    until(lambda: [e for e in events(folder, box, "run") if e["event"] == "ended"], f"{box} ends")
    assert events(folder, box, "run")[-1]["exit_reason"] == "interrupted"
    assert (folder / "runs" / "run" / box / "ckpt" / "last" / "state.pt").exists()


def test_the_agent_of_another_node_is_killed(tmp_path):
    """Its box ends in order, with a checkpoint; box 0 goes on, and the same command brings the box back."""
    with Agents(tmp_path, nodes=2) as agents:
        for node in (0, 1):
            agents.start(node, *TRAIN, "1000000")
        until(lambda: min(exchanges(tmp_path, "box0"), exchanges(tmp_path, "box1")) > 2, "the boxes exchange")
        agents.kill(1)
        has_ended_in_order(tmp_path, "box1")
        until(lambda: {"link_lost", "box_gone"} & set(faults(tmp_path, "box0")), "box 0 notices it")
        agents.start(1, *TRAIN, "1000000")
        until(lambda: "box_joined" in faults(tmp_path, "box0"), "the box comes back")
        until(lambda: exchanges(tmp_path, "box1~2") > 2, "they exchange again")
        for node in (0, 1):
            agents.look()
            agents.agents[node].terminate()
        for node in (0, 1):
            agents.agents[node].wait(120)
        has_ended_in_order(tmp_path, "box0")
        until(lambda: not list(left_over([process.pid for process in agents.started])), "no process is left")


def test_the_agent_of_node_0_is_killed_and_the_store_with_it(tmp_path):
    """Its box ends in order; the other one goes on with its share of the data, and comes to its end."""
    with Agents(tmp_path, nodes=2) as agents:
        for node in (0, 1):
            agents.start(node, *TRAIN, "6000")
        until(lambda: min(exchanges(tmp_path, "box0"), exchanges(tmp_path, "box1")) > 2, "the boxes exchange")
        agents.kill(0)
        has_ended_in_order(tmp_path, "box0")
        until(lambda: "store_lost" in faults(tmp_path, "box1"), "box 1 notices it")
        version = events(tmp_path, "box1", "train")[-1]["updates"]
        until(lambda: events(tmp_path, "box1", "train")[-1]["updates"] > version, "it trains on")
        until(lambda: [e for e in events(tmp_path, "box1", "run") if e["event"] == "ended"], "it comes to its end")
        assert summary(tmp_path / "runs" / "run" / "box1")["exit_reason"] == "done"
        agents.agents[1].wait(90)
        until(lambda: not list(left_over([process.pid for process in agents.started])), "no process is left")
