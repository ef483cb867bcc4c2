"""Wrong options of the algorithms with replicas, through the command line: one line, exit code 2, no files left."""

from __future__ import annotations

import re
from pathlib import Path

import own_code
import pytest
import torch
from attacks import run
from slow import rest_is_slow

import hogwild
from hogwild.algorithms import REGISTRY
from hogwild.buffers import has_replicas

WRONG = {
    "hypercube-of-3": ("d-psgd --topology hypercube --workers 3", "needs 2.k workers, not 3: use --workers 2 or 4"),
    "no-such-file": ("d-psgd --topology file:nowhere --workers 4", "cannot read topology file nowhere: No such file"),
    "not-connected": (
        "d-psgd --topology file:split --workers 4",
        "is not connected: no links join worker 2",
    ),
    "not-text": ("ad-psgd --topology file:bytes --workers 4", "topology file bytes is not a text file"),
    "file-of-others": (
        "d2 --topology file:matrix --workers 4",
        "nor the 4 x 4 matrix of 4 workers; it has 3 lines",
    ),
    "odd-bipartite": ("ad-psgd --pairing bipartite --topology ring --workers 3", "is not bipartite: use bipartite"),
    "d2-even-ring": ("d2 --weights uniform --workers 4", "has the eigenvalue -0.333333.*use --weights lazy"),
    "d2-file": ("d2 --topology file:swap --workers 2", "has weights of its own: leave weights"),
    "alpha-above-1": ("easgd --alpha 1.5", "alpha: '1.5' is not allowed; it must be a number, 0 <= number <= 1"),
    "alpha-nan": ("easgd --alpha nan", "alpha: 'nan' is not allowed; it must be a finite number"),
    "period-0": ("easgd --period 0", "period: '0' is not allowed; it must be an integer >= 1"),
    "period-half": ("local-sgd --period 1.5", "period: '1.5' is not allowed; it must be an integer"),
    "latency-alone": ("easgd --latency 0.1", "need virtual time: add --clock gamma"),
    "latency-drawn": ("easgd --latency 0.1 --clock const:2", "need virtual time: add --clock gamma"),
    "drawn-delays": ("easgd --clock const:4", "trains each worker's own replica: use --clock gamma"),
    "drawn-delays-ad-psgd": ("ad-psgd --clock geometric:4", "trains each worker's own replica: use --clock gamma"),
    "drawn-delays-rounds": ("local-sgd --clock const:4", "is for asynchronous algorithms with --read snapshot"),
    "inplace": ("easgd --read inplace", "trains each worker's own replica: leave --read inplace out"),
    "inplace-ad-psgd": ("ad-psgd --read inplace", "trains each worker's own replica: leave --read inplace out"),
    "eamsgd-post": ("eamsgd --exchange post", "look-ahead point with momentum: use exchange paper"),
    "strange-option": ("sgp --topology ring", "algorithm sgp has no option 'topology'"),
    "tree-of-degree-1": ("easgd-tree --degree 1", "degree: '1' is not allowed; it must be an integer >= 2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_option_is_refused_in_one_line(tmp_path: Path, case: str):
    (tmp_path / "split").write_text("0 1\n2 3\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "matrix").write_text("1 0 0\n0 1 0\n0 0 1\n")
    (tmp_path / "swap").write_text("0.1 0.9\n0.9 0.1\n")
    before = sorted(tmp_path.iterdir())
    flags, message = WRONG[case]
    code, err = run(tmp_path, "--algorithm", *flags.split(), "--updates", 2)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert re.search(message, err), err
    assert sorted(tmp_path.iterdir()) == before


WITH_REPLICAS = [name for name, kind in REGISTRY.items() if has_replicas(kind().keeps())]


@pytest.mark.parametrize("algorithm", rest_is_slow(WITH_REPLICAS, {"easgd", "d-psgd", "ad-psgd", "diloco", "sgp"}))
@pytest.mark.parametrize("workers", rest_is_slow([1, 3], {3}))
def test_any_number_of_workers_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str, workers: int):
    """Also a single worker, which has no peer."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    result = hogwild.fit(
        own_code.net, own_code.data(), algorithm=algorithm, workers=workers, clock="round-robin", samples=600,
        batch_size=5, lr=0.05,
    )  # fmt: skip
    assert result.summary["samples"] == 600
    assert result.summary["test_accuracy"] > 0.3
