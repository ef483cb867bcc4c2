from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hogwild import delays
from hogwild.cli import main as cli
from hogwild.theory import stability


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ask(capsys):
    """The report of `hogwild stability ...`."""

    def ask(line: str) -> str:
        assert cli.main(["stability", *line.split()]) == 0
        return capsys.readouterr().out

    return ask


@pytest.fixture
def facts(ask):
    def facts(line: str) -> dict[str, Any]:
        return json.loads(ask(f"{line} --json"))

    return facts


def test_without_options(ask):
    assert ask("").splitlines() == [
        "rule         none",
        "delay        4 (mean 4, largest 4)",
        "threshold    curvature x lr < 0.3472963553 in expectation",
    ]


def test_all_lines_of_the_report(ask):
    text = ask("--rule shifted --delay 8 --dampening 0.9 --curvature 20 --lr 0.01 --lr-sync 0.1 --noise 0.1 --table 1")
    assert text.splitlines() == [
        "rule         shifted, momentum 0.9, dampening 0.9, noise 0.1",
        "delay        8 (mean 8, largest 8)",
        "threshold    curvature x lr < 0.244694464 in expectation",
        "             curvature x lr < 0.2416856736 in mean square",
        "             lr < 0.0120843 at curvature 20",
        "lr 0.01      stable, at 0.8275 of the threshold; the loss falls 10,000-fold in 4,351 updates in expectation",
        "from 0.1     lr 0.0108759    with a margin, 0.9 of the threshold (recommended)",
        "             lr 0.0122347    as stable as plain SGD of the same effective rate, 1.01 of the threshold",
        "             lr 0.000643933  exactly as stable as the same run, 0.0533 of the threshold",
        "             lr 0.0125       lr / mean delay, the rule of the paper, 1.03 of the threshold",
        "",
        "   delay      threshold    1/threshold             lr",
        "       0   38.000000000       0.026316            1.9",
        "       1    1.900000000       0.526316          0.095",
    ]


def test_without_curvature_the_lr_is_turned_into_one(ask):
    text = ask("--delay 32 --lr 0.01 --lr-sync 0.1 --sync-momentum 0.9")
    assert "lr 0.01      stable at minima of curvature < 4.83275\n" in text
    assert "from 0.1     lr 0.0241637    as stable as plain SGD of the same effective rate (recommended)\n" in text
    assert "             lr 0.003125     lr / mean delay, the rule of the paper\n" in text


def test_an_lr_above_the_edge(ask, facts):
    text = ask("--delay 32 --lr 0.0531602 --curvature 1")
    assert "leaves the minimum, at 1.1 of the threshold; the loss grows 10,000-fold in 2,202 updates" in text
    given = facts("--delay 32 --lr 0.0531602 --curvature 1")["lr"]
    assert not given["is_stable"]
    assert given["radius"] == pytest.approx(1.00209367, abs=1e-6)


def test_json_is_the_library(facts):
    found = facts(
        "--rule standard --delay normal:4 --momentum 0.5 --weight-decay 0.1 --curvature 2 --noise 1 --table 2"
    )
    law = delays.parse("normal:4")
    assert found["threshold"] == stability.threshold("standard", law, 0.5, weight_decay=0.05)
    square = stability.mean_square_threshold("standard", law, 0.5, weight_decay=0.05, noise=1)
    assert found["mean_square_threshold"] == found["edge"] == square
    assert found["edge_lr"] == square / 2
    assert found["table"][2] == {"delay": 2, "threshold": stability.threshold("standard", 2, 0.5, weight_decay=0.05)}
    assert (found["delay"]["mean"], found["delay"]["max"]) == (pytest.approx(4.0, abs=1e-3), 8)


def test_workers_in_random_order(ask, facts):
    found = facts("--delay geometric:8")
    assert found["threshold"] == pytest.approx(30)
    assert found["random_order_threshold"] == found["edge"] == stability.random_order_threshold("none", 8)
    assert found["mean_square_threshold"] < found["edge"]
    assert "curvature x lr < 0.5663911093 in mean square, workers in random order" in ask("--delay geometric:8")


def test_dana_under_random_delay_has_no_mean_square(facts):
    found = facts("--rule dana --delay uniform:1:4 --lr-sync 0.1")
    assert found["mean_square_threshold"] is None
    assert found["edge"] == found["threshold"] == stability.threshold("dana", delays.uniform(1, 4), 0.9)
    assert found["lr_sync"]["recommended"] == found["lr_sync"]["effective"]


def test_a_long_delay_is_solved_without_its_roots(facts):
    given = facts("--delay 1000 --lr 0.001 --curvature 1")["lr"]
    assert given["is_stable"]
    assert given["radius"] is None


def test_a_measured_histogram(facts):
    Path("h.csv").write_text("delay,count\n1,50\n2,50\n")
    assert facts("--delay hist:h.csv")["threshold"] == pytest.approx(0.828427125)


def test_plot(ask):
    pytest.importorskip("matplotlib")
    assert "threshold" in ask("--rule shifted --delay 8 --plot a.png")
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_plot_that_cannot_be_written(capsys):
    pytest.importorskip("matplotlib")
    assert cli.main(["stability", "--plot", "nowhere/a.png"]) == 2
    assert "cannot write nowhere/a.png: No such file or directory" in capsys.readouterr().err
    assert cli.main(["stability", "--plot", "a.foo"]) == 2
    assert "cannot write a.foo: Format 'foo' is not supported" in capsys.readouterr().err


def test_plot_without_matplotlib(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["stability", "--plot", "a.png"]) == 2
    assert capsys.readouterr().err == "hogwild: error: a picture needs matplotlib: pip install 'hogwild[plot]'\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--momentum 0.9", "rule none has no momentum (0.9) and no dampening (0): choose another rule"),
        ("--rule dana --momentum 1", "momentum 1 is not in [0, 1)"),
        ("--rule adamw --dampening 0.5", "--dampening has no effect with --rule adamw: it is the momentum, beta1"),
        ("--rule rmsprop --lr-sync 0.1", "--lr-sync has no effect with --rule rmsprop: q adapts to the delay"),
        ("--rule adamw --weight-decay 1 --curvature 1", "decoupled weight decay is not part of this theory"),
        ("--rule heavy", "invalid choice: 'heavy'"),
        ("--rul none", "unknown argument '--rul'. Did you mean --rule?"),
        ("--lr nan", "--lr nan: it must be a number > 0"),
        ("--curvature -1", "--curvature -1: it must be a number > 0"),
        ("--lr-sync 0", "--lr-sync 0: it must be a number > 0"),
        ("--lr x", "argument --lr: invalid float value: 'x'"),
        ("--weight-decay 0.1", "--weight-decay 0.1 counts beside the curvature: give --curvature A too"),
        ("--weight-decay -1 --curvature 1", "weight decay / curvature is -1; it must be >= 0"),
        ("--noise -1", "noise q is -1; it must be >= 0"),
        ("--lr-sync 1 --sync-momentum 2", "momentum 2 is not in [0, 1)"),
        ("--table -1", "--table -1: it must be from 0 to 4096"),
        ("--delay 1:2", "delay '1:2' is not known"),
        ("--delay 5000", "delay '5000' reaches 5000; at most 4096 is solved"),
    ],
)
def test_refusals(line, message, capsys):
    assert cli.main(["stability", *line.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_help_imports_neither_torch_nor_numpy():
    code = (
        "import sys, hogwild.cli.main\n"
        "try: hogwild.cli.main.main(['stability', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules), 'too much is imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: hogwild stability" in done.stdout


def test_the_command_needs_no_torch():
    code = (
        "from hogwild.cli.main import main; import sys; assert main(['stability']) == 0 and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("rule", "delay", "threshold"),
    [
        ("adamw", 7, 0.971017295), ("adamw-shifted", 3, 0.647873821), ("adamw-heavy-ball", 0, 38.0),
        ("adamw-heavy-ball", 1, 1.0), ("rmsprop", 15, 0.101298338),
    ],
)  # fmt: skip
def test_adaptive_rules_with_a_fixed_square(ask, facts, rule: str, delay: int, threshold: float):
    found = facts(f"--rule {rule} --delay {delay}")
    assert found["threshold"] == pytest.approx(threshold, abs=1e-9)
    assert found["adaptive"] == rule
    text = ask(f"--rule {rule} --delay {delay}")
    assert f"{rule} with a fixed q; curvature: of P^-1/2 H P^-1/2" in text
