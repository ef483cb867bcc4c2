"""The examples run, in small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from scripts import run

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("algorithm", ["rmsprop", "adamw"])
def test_a3c(algorithm):
    done = run(EXAMPLES / "a3c_cartpole.py", "--updates", 40, "--algorithm", algorithm)
    games, length = map(float, re.findall(r"games (\d+), mean length (\d+)", done.stdout)[0])
    assert games > 0
    assert 5 < length <= 500


def test_char_gpt(tmp_path, monkeypatch):
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_text("the quick brown fox jumps over the lazy dog.\n" * 500)
    monkeypatch.setenv("HOGWILD_DATA", str(tmp_path))
    done = run(EXAMPLES / "char_gpt.py", "--updates", 40, "--batch-size", 16, "--write", 20)
    first, _, written = done.stdout.partition("\n")
    assert float(first.removeprefix("test loss ")) < 2.5  # ln 29 = 3.4 at first
    assert len(written.rstrip("\n")) >= 19


def test_matrix_factorisation(tmp_path, monkeypatch):
    """On ratings that the tables can explain."""
    (tmp_path / "movielens_100k").mkdir()
    rows = [f"{u}\t{i}\t{3 + 2 * (-1) ** (u * i % 3)}\t0\n" for u in range(1, 42) for i in range(1, 52) if u * i % 7]
    (tmp_path / "movielens_100k" / "u.data").write_text("".join(rows))
    monkeypatch.setenv("HOGWILD_DATA", str(tmp_path))
    done = run(EXAMPLES / "matrix_factorisation.py", "--data", "movielens_100k", "--epochs", 15, "--batch-size", 64)
    error, without = map(float, re.findall(r"rmse ([\d.]+), if all were the mean ([\d.]+)", done.stdout)[0])
    assert error < 0.7 * without
    (touched,) = map(float, re.findall(r"rows of a push (\d+), their delay 0\.\d+", done.stdout))
    assert 50 < touched <= 92  # of 41 + 51
    assert re.search(r"best for user \d+: items( \d+){5}$", done.stdout, re.MULTILINE)


def test_cifar_resnet(tmp_path):
    """On images of one colour a class, for two passes, and then for a third one."""
    form = ("--coloured", 250, "--width", 4, "--batch-size", 10, "--workers", 1, "--lr", 0.02)
    parts = r"top-1 ([\d.]+), top-5 ([\d.]+), average ([\d.]+)\n(runs/.*)\n"
    for given in ("--epochs 2", "--epochs 3 --resume {}"):
        directory = "" if "resume" not in given else directory  # noqa: F821
        done = run(EXAMPLES / "cifar_resnet.py", *form, *given.format(directory).split())
        top1, top5, average, directory = re.fullmatch(parts, done.stdout).groups()
    assert float(top5) > float(top1) > 0.2
    assert 0 < float(average) <= 1
    events = [json.loads(line) for line in (tmp_path / directory / "metrics.jsonl").read_text().splitlines()]
    assert [event["updates"] for event in events if event["kind"] == "eval"][-1] == 60


def test_own_algorithm(tmp_path):
    """At delays of 31 updates asgd diverges; an algorithm under which old gradients fade out does not."""
    done = run(EXAMPLES / "own_algorithm.py")
    first, *lines = done.stdout.splitlines()
    assert first.startswith("Result(test_loss=")
    loss = {tuple(line.split()[:3]): float(line.split()[3]) for line in lines}
    assert len(loss) == 12
    for seed in "01":
        assert loss["asgd", "32", seed] > 5 * loss["fading", "32", seed]
    assert (tmp_path / "own_algorithm.png").stat().st_size > 1000
