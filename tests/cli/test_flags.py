from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hogwild.algorithms import REGISTRY
from hogwild.cli import flags
from hogwild.config import FIELDS, Config
from hogwild.errors import UsageError
from hogwild.runs.directory import RunDirectory

ROOT = Path(__file__).parents[2]
SAMPLES = {
    "data": "mnist",
    "data_dir": "d",
    "batch_size": 7,
    "validation": 0.25,
    "accumulate": 3,
    "init_from": "w.pt",
    "shard": "dirichlet:0.5",
    "order": "single-class",
    "on_bad_sample": "stop",
    "model": "logistic",
    "dtype": "float64",
    "norm": "group",
    "norm_state": "worker",
    "algorithm": "shifted",
    "lr": 0.25,
    "weight_decay": 0.5,
    "table_rule": "adam",
    "table_lr": 0.5,
    "table_eps": 0.25,
    "table_decay": "lazy",
    "table_catch_up": True,
    "row_max_norm": 2.5,
    "schedule": "cosine",
    "clip": 2.0,
    "warmup": 0.25,
    "warmup_updates": 5,
    "warmup_samples": 50,
    "warmup_from": 0.75,
    "workers": 3,
    "device": "cpu",
    "gpus": 4,
    "master": "host",
    "amp": "bf16",
    "compile": True,
    "cuda_graph": True,
    "channels_last": True,
    "access": "atomic",
    "read": "inplace",
    "guard": "element",
    "on_nonfinite": "skip",
    "loaders": 2,
    "takeover": True,
    "min_workers": 2,
    "respawn": 4,
    "stall_timeout": 5.0,
    "kill_stalled": 0.0,
    "drop_last": True,
    "pin": "0-1",
    "start_method": "spawn",
    "record": True,
    "clock": "gamma",
    "edge_every": 50,
    "between": "ad-psgd",
    "seed": 9,
    "epochs": 1.5,
    "samples": 100,
    "updates": 10,
    "eval_every": 0.5,
    "eval_updates": 7,
    "eval_seconds": 1.5,
    "ckpt_every": 2.0,
    "ckpt_updates": 9,
    "ckpt_seconds": 30.0,
    "tb": True,
    "csv": True,
    "keep": 1,
    "out": "o",
    "name": "n",
    "no_decay": "bias",
    "overwrite": True,
    "json": True,
    "quiet": True,
}
NEEDED: dict[tuple[str, str], dict[str, object]] = {
    ("gap-aware", "gap_lagged"): {"gap_level": "layer"},
    ("eamsgd", "exchange"): {"momentum": 0.0},
    ("mdownpour", "form"): {"momentum": 0.5},
    ("asgd", "gap_lagged"): {"gap_level": "layer", "penalty": "gap"},
    ("asgd", "momentum_kind"): {"momentum": 0.5},
    ("asgd", "dampening"): {"momentum": 0.5},
    ("asgd", "first_step"): {"momentum": 0.5, "dampening": 0.5},
    **{("asgd", f"gap_{name}"): {"penalty": "gap"} for name in ("level", "size", "unit", "reference", "decay")},
    ("asgd", "penalize_wd"): {"penalty": "gap"},
    **{
        (name, beta): {"local_rule": "adamw"}
        for name, cls in REGISTRY.items()
        for beta in ("beta1", "beta2")
        if "local_rule" in cls.options()
    },
    **{
        (name, f"gap_{option}"): {"penalty": "gap"}
        for name in ("adamw", "rmsprop", "adagrad", "lion")
        for option in ("size", "decay")
    },
    ("streaming-diloco", "period"): {"fragments": 1},
    ("async-diloco", "activation"): {"outer_every": 4},
    ("noloco", "weights"): {"topology": "ring"},
    ("noloco", "self_weight"): {"topology": "ring"},
    **{("asgd", f"dc_{name}"): {"compensation": "dc-adaptive"} for name in ("lambda", "power", "decay")},
}
OTHER = {
    int: lambda _: 3,
    float: lambda value: value / 2 or 0.25,
    str: lambda _: "star",  # a topology
    type(None): lambda _: 0.25,
}
COUPLED = {
    "between_options",
    "between_period",
    "between_wait",
    "between_wire",
    "between_timeout",
    "between_linger",
    "min_boxes",
    "boxes",
    "box_straggler",
    "norm_alpha",
    "latency",
    "bandwidth",
    "milestones",
    "step_factor",
    "step_epochs",
    "min_lr",
    "table_catch_up",
    "straggler",
    "resume",
    "ckpt",
    "layer_pushes",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_flag_reaches_its_field(name):
    value = SAMPLES[name]
    argv = [flags.flag(name)] if value is True else [flags.flag(name), str(value)]
    if name == "min_workers":
        argv += ["--workers", "3"]
    assert getattr(flags.parse(argv), name) == value != getattr(Config(), name)


def test_no_field_is_without_a_flag_test():
    assert set(SAMPLES) | COUPLED == set(FIELDS)


def test_coupled_flags():
    config = flags.parse(["--schedule", "step", "--milestones", "0.5,0.75", "--step-factor", "0.2"])
    assert (config.milestones, config.step_factor) == ((0.5, 0.75), 0.2)
    assert flags.parse(["--schedule", "step", "--step-epochs", "3,6"]).step_epochs == (3.0, 6.0)
    assert flags.parse(["--schedule", "cosine", "--min-lr", "1e-3"]).min_lr == 1e-3
    assert flags.parse(["--straggler", "0:4,1:2"]).straggler == {0: 4.0, 1: 2.0}
    assert flags.parse(["--layer-pushes", "--guard", "element"]).layer_pushes


@pytest.mark.parametrize(
    ("algorithm", "option"),
    [
        (name, option)
        for name, cls in REGISTRY.items()
        for option, field in cls.options().items()
        if len(field.metadata["choices"] or "any") > 1
    ],
)
def test_every_algorithm_option_has_a_flag(algorithm, option):
    field = REGISTRY[algorithm].options()[option]
    choices = field.metadata.get("choices")
    value = next(c for c in choices if c != field.default) if choices else not field.default
    if not choices and not isinstance(field.default, bool):
        value = OTHER[type(field.default)](field.default)
    argv = [flags.flag(option)] + ([] if value is True else [str(value).lower()])
    needed = NEEDED.get((algorithm, option), {})
    argv += ["--clock", "gamma"]  # some algorithms need it, or a lock
    argv += ["--workers", str(REGISTRY[algorithm].max_workers or 3)]  # an option may count workers
    argv += [part for name, text in needed.items() for part in (flags.flag(name), str(text))]
    assert flags.parse(["--algorithm", algorithm, *argv]).options == {option: value, **needed}


def test_latency_and_bandwidth_need_virtual_time():
    config = flags.parse(["--latency", "0.5", "--bandwidth", "1e6", "--clock", "gamma"])
    assert (config.latency, config.bandwidth) == (0.5, 1e6)
    with pytest.raises(UsageError, match="latency and bandwidth need virtual time: add --clock"):
        flags.parse(["--latency", "0.5"])


def test_flags_override_the_file_and_keep_the_rest():
    Path("run.yaml").write_text("lr: 1e-3\nalgorithm: shifted\nmomentum: 0.5\nepochs: 3\n")
    config = flags.parse(["--config", "run.yaml", "--momentum", "0.25", "--updates", "8"])
    assert (config.lr, config.options, config.epochs, config.updates) == (1e-3, {"momentum": 0.25}, None, 8)


def test_a_written_config_is_run_again_equally():
    first = flags.parse(["--algorithm", "gap-aware", "--penalize-wd", "false", "--workers", "4", "--samples", "100"])
    run = RunDirectory.create(first)
    assert flags.parse(["--config", str(run.path / "config.yaml")]) == first


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--worker", "3"], r"unknown argument '--worker'\. Did you mean --workers\?"),
        (["--lrr=3"], r"unknown argument '--lrr=3'\. Did you mean --lr\?"),
        (["digits"], r"unknown argument 'digits'\. See hogwild train --help"),
        (["--lr"], r"argument --lr: expected one argument"),
        (["--config", "missing.yaml"], r"cannot read missing.yaml"),
        (["--resume", "missing"], r"missing is not a run directory"),
        (["--resume", "missing", "--config", "x.yaml"], r"--resume takes the configuration of the run"),
    ],
)
def test_mistakes_on_the_command_line(argv, message):
    with pytest.raises(UsageError, match=message):
        flags.parse(argv)


def test_resume_keeps_the_configuration_and_flags_change_allowed_options():
    first = flags.parse(["--algorithm", "shifted", "--momentum", "0.5", "--epochs", "2", "--name", "a"])
    run = RunDirectory.create(first)
    config = flags.parse(["--resume", "runs/a", "--epochs", "5", "--workers", "4", "--lr", "0.5", "--ckpt", "best"])
    assert (config.epochs, config.workers, config.lr, config.ckpt) == (5.0, 4, 0.5, "best")
    assert (config.algorithm, config.options, config.resume) == ("shifted", {"momentum": 0.5}, str(run.path))


@pytest.mark.parametrize(
    "change",
    ["--seed 1", "--dtype float64", "--model logistic", "--momentum 0.1", "--name b", "--overwrite"],
)
def test_resume_cannot_make_another_run_of_it(change):
    run = RunDirectory.create(flags.parse(["--name", "a"]))
    name = "options" if "momentum" in change else change.split()[0].removeprefix("--")
    with pytest.raises(UsageError, match=f"--resume cannot change {name} from .* start a new run instead"):
        flags.parse(["--resume", str(run.path), *change.split()])


def test_resume_of_a_finished_run_needs_a_later_end():
    run = RunDirectory.create(flags.parse(["--name", "a", "--updates", "100"]))
    assert flags.parse(["--resume", "runs/a"]).updates == 100
    run.summary({"exit_reason": "done"})
    with pytest.raises(UsageError, match=r"runs/a is finished \(updates 100\): give a later end, --updates N"):
        flags.parse(["--resume", "runs/a", "--workers", "4"])
    assert flags.parse(["--resume", "runs/a", "--updates", "200"]).updates == 200


def test_help_imports_nothing_that_takes_seconds():
    code = (
        "import sys, hogwild.train\n"
        "try: hogwild.train.main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "import hogwild.cli.main; hogwild.cli.main.main(['--help']); hogwild.cli.main.main(['list'])\n"
        "assert not {'torch', 'numpy'} & set(sys.modules), 'too much is imported'\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    for name in (*FIELDS, *(option for algorithm in REGISTRY.values() for option in algorithm.options())):
        assert flags.flag(name) in done.stdout
    for group in {field.metadata["group"] for field in FIELDS.values()}:
        assert f"\n{group}:\n" in done.stdout


def test_options_without_a_field_are_none():
    assert {f.name for f in dataclasses.fields(Config)} == {*FIELDS, "options"}
