from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hogwild.algorithms import REGISTRY
from hogwild.config import FIELDS, GROUPS, Config, override, read_yaml
from hogwild.errors import UsageError
from hogwild.tasks import DATASETS, MODELS

positive = st.floats(1e-6, 1e6)
names = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,12}", fullmatch=True)
limits = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"epochs": positive}),
    st.fixed_dictionaries({"samples": st.integers(1, 10**12)}),
    st.fixed_dictionaries({"updates": st.integers(1, 10**12)}),
)
algorithms = st.one_of(
    st.fixed_dictionaries({"algorithm": st.just("asgd")}, optional={"momentum": st.floats(0, 0.99)}),
    st.fixed_dictionaries(
        {"algorithm": st.just("gap-aware")}, optional={"gap_decay": st.floats(0, 0.99), "penalize_wd": st.booleans()}
    ),
)
schedules = st.one_of(
    st.fixed_dictionaries({"schedule": st.sampled_from(["constant", "cosine"])}),
    st.fixed_dictionaries(
        {
            "schedule": st.just("step"),
            "milestones": st.lists(st.floats(0.01, 0.99), min_size=1, max_size=3, unique=True).map(sorted),
        },
        optional={"step_factor": positive},
    ),
)
others = st.fixed_dictionaries(
    {"workers": st.integers(4, 64)},
    optional={
        "data": st.sampled_from([*DATASETS, "my_module:data"]),
        "model": st.sampled_from([*MODELS, "my_module:model"]),
        "batch_size": st.integers(1, 4096),
        "lr": positive,
        "weight_decay": st.floats(0, 1),
        "warmup": st.floats(0, 0.99),
        "clip": st.floats(0, 1e6),
        "norm": st.sampled_from(["batch", "full", "group", "none"]),
        "straggler": st.dictionaries(st.integers(0, 3), st.floats(1, 100), max_size=3),
        "seed": st.integers(0, 2**40),
        "name": names,
        "out": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1),
        "access": st.sampled_from(["racing", "atomic", "striped", "locked"]),
        "pin": st.sampled_from(["none", "auto", "0,2,4-7"]),
        "json": st.booleans(),
    },
)


@given(limits, algorithms, schedules, others)
def test_yaml_gives_an_equal_config_back(limit, algorithm, schedule, other):
    config = Config.from_values(limit | algorithm | schedule | other)
    again = Config.from_values(yaml.safe_load(config.yaml()))
    assert again == config
    assert again.yaml() == config.yaml()


def test_nothing_given_is_a_complete_run():
    config = Config()
    assert (config.data, config.model, config.algorithm, config.workers) == ("digits", "mlp", "asgd", 2)
    assert (config.epochs, config.batch_size, config.lr) == (20.0, 32, 0.1)
    assert config.samples is None
    assert config.updates is None


def test_defaults_follow_the_data_set():
    config = Config(data="fashion_mnist")
    assert (config.model, config.epochs, config.batch_size) == ("lenet", 2.0, 64)


def test_default_lr_keeps_the_effective_step_under_momentum():
    assert Config(options={"momentum": 0.9}).lr == pytest.approx(0.01)
    assert Config(options={"momentum": 0.9, "dampening": 0.9}).lr == pytest.approx(0.1)
    assert Config(options={"momentum": 0.9}, lr=0.3).lr == 0.3


@pytest.mark.parametrize(
    ("given", "found"),  # norm_alpha, norm_state, clip, warmup
    [
        ({}, (None, "shared", 0.0, 0.0)),
        ({"norm": "batch"}, (None, None, 0.0, 0.0)),
        ({"norm": "full"}, (0.03, "shared", 1.0, 0.05)),
        ({"norm": "full", "clip": 0, "warmup": 0}, (0.03, "shared", 0.0, 0.0)),
        ({"norm": "full", "guard": "element"}, (0.03, "shared", 0.0, 0.05)),
        ({"norm": "full", "algorithm": "clipped", "clip": 3}, (0.03, "shared", 3.0, 0.05)),
        ({"algorithm": "clipped"}, (None, "shared", 1.0, 0.0)),
    ],
)
def test_full_norm_brings_a_clip_and_a_warm_up_unless_they_are_given(given, found):
    config = Config.from_values(given)
    assert (config.norm_alpha, config.norm_state, config.clip, config.warmup) == found
    assert Config.from_values(config.values()) == config


def test_serial_algorithm_has_one_worker_and_takes_no_more():
    assert Config(algorithm="sgd").workers == 1
    with pytest.raises(UsageError, match="sgd takes at most 1 worker, not 3: use --workers 1"):
        Config(algorithm="sgd", workers=3)


def test_texts_become_numbers():
    config = Config.from_values({"lr": "1e-3", "samples": "1e4", "straggler": "0:4,1:2x", "momentum": "0.5"})
    assert (config.lr, config.samples, config.straggler) == (1e-3, 10_000, {0: 4.0, 1: 2.0})
    assert config.options == {"momentum": 0.5}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": "fashon_mnist"}, r"unknown data set 'fashon_mnist'\. Did you mean 'fashion_mnist'\? Known: .*:func"),
        ({"model": "lennet"}, r"unknown model 'lennet'\. Did you mean 'lenet'\?"),
        ({"algorithm": "gap_aware"}, r"unknown algorithm 'gap_aware'\. Did you mean 'gap-aware'\?"),
        ({"bach_size": 3}, r"unknown option 'bach_size'\. Did you mean 'batch_size'\?"),
        (
            {"delay_limit": 9},
            r"algorithm asgd has no option 'delay_limit'; it has: .*, momentum, .*\. Known to: ringmaster",
        ),
        ({"gap_decay": 0.9}, r"algorithm asgd: gap_decay is an option of penalty gap, this one is none: add penalty"),
        ({"clip": 1, "guard": "element"}, r"clip needs the norm of the whole gradient, and guard element takes it in"),
        ({"norm": "layer"}, r"norm: 'layer' is not allowed; it must be one of batch, full, group, none"),
        ({"norm_alpha": 0.1}, r"norm_alpha is an option of Full Normalization: add --norm full"),
        ({"norm_alpha": 1.1, "norm": "full"}, r"norm_alpha: 1.1 is not allowed; it must be a number, 0 <= number <= 1"),
        ({"norm_state": "worker", "norm": "group"}, r"norm_state is an option of Full Normalization, and --norm"),
        ({"clip": 1, "norm": "full", "guard": "element"}, r"clip needs the norm of the whole gradient"),
        ({"lr": -1}, r"lr: -1 is not allowed; it must be a number > 0"),
        ({"lr": "fast"}, r"lr: 'fast' is not allowed; it must be a finite number"),
        ({"lr": float("nan")}, r"lr: nan is not allowed"),
        ({"batch_size": 2.5}, r"batch_size: 2.5 is not allowed; it must be an integer"),
        ({"batch_size": True}, r"batch_size: True is not allowed"),
        ({"workers": 0}, r"workers: 0 is not allowed; it must be an integer >= 1"),
        ({"access": "lokked"}, r"access: 'lokked' is .* racing, atomic, striped, locked\. Did you mean 'locked'\?"),
        ({"momentum": 1.5}, r"momentum: 1.5 is not allowed; it must be a number, 0 <= number < 1"),
        ({"name": 12}, r"name: 12 is not allowed; it must be a text"),
        ({"name": "a/b"}, r"name: 'a/b' is not allowed; it must be a directory name"),
        ({"master": "cuda:x"}, r"master: 'cuda:x' is not allowed; it must be auto, host, sharded or cuda:N"),
        ({"pin": "0-"}, r"pin: '0-' is not allowed"),
        ({"pin": "1,a"}, r"pin: '1,a' is not allowed"),
        ({"straggler": "3:4"}, r"straggler: there is no worker 3; they are 0 to 1"),
        ({"straggler": "0:0.5"}, r"straggler: '0:0.5' is not allowed; it must be WORKER:FACTOR"),
        ({"straggler": "zero"}, r"straggler: 'zero' is not allowed"),
        ({"straggler": 4}, r"straggler: 4 is not allowed"),
        ({"milestones": [0.7, 0.5], "schedule": "step"}, r"milestones: \[0.7, 0.5\] is not allowed; it must be rising"),
        ({"milestones": 0.5}, r"milestones: 0.5 is not allowed"),
        ({"schedule": "step"}, r"schedule step needs milestones"),
        ({"step_factor": 0.5}, r"milestones, step_epochs and step_factor are for --schedule step"),
        ({"json": "maybe"}, r"json: 'maybe' is not allowed; it must be true or false"),
        ({"epochs": 1, "updates": 5}, r"epochs and updates are both given"),
        ({"min_workers": 3}, r"min_workers is 3 but there are only 2 workers"),
        ({"master": "cuda:0", "device": "cpu"}, r"master cuda:0 needs a GPU, but device is cpu"),
        ({"algorithm": "gap-aware", "read": "inplace"}, r"gap-aware compares the master with a snapshot"),
        ({"ckpt": "best"}, r"ckpt 'best' says where to resume from: add --resume RUN"),
        ({"access": None}, r"access: a value is missing"),
    ],
)
def test_invalid_values_are_refused_in_one_line(values, message):
    with pytest.raises(UsageError, match=message) as caught:
        Config.from_values(values)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_upper_limit_replaces_the_lower_one():
    assert override({"epochs": 20.0, "lr": 1.0}, {"updates": 7}) == {"lr": 1.0, "updates": 7}
    assert override({"epochs": 20.0}, {"lr": 0.1}) == {"epochs": 20.0, "lr": 0.1}


def test_config_is_frozen_and_travels_to_workers():
    config = Config(straggler={0: 4.0}, options={"momentum": 0.9})
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "must hold one mapping"),
        ("a: [1\n", "is not valid YAML: .*line 2"),
        ("1: 2\n", "must hold one mapping"),
        ("!!python/object/apply:os.system ['true']\n", "is not valid YAML"),
    ],
)
def test_bad_yaml_is_refused(text, message):
    Path("run.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_yaml(Path("run.yaml"))


def test_missing_and_empty_files():
    with pytest.raises(UsageError, match=r"cannot read nowhere\.yaml: No such file"):
        read_yaml(Path("nowhere.yaml"))
    Path("empty.yaml").touch()
    assert read_yaml(Path("empty.yaml")) == {}


def test_every_field_is_explained_and_no_algorithm_option_shadows_one():
    for name, field in FIELDS.items():
        assert field.metadata["group"] in GROUPS, name
        assert field.metadata["help"], name
    for name, algorithm in REGISTRY.items():
        assert not algorithm.options().keys() & FIELDS.keys(), name
        for option, field in algorithm.options().items():
            assert field.metadata["help"], (name, option)


@pytest.mark.parametrize("algorithm", ["ormo", "smega2"])
def test_algorithms_that_count_pushes_need_the_lock_or_the_simulator(algorithm):
    with pytest.raises(UsageError, match="use --access locked, or simulate"):
        Config(algorithm=algorithm)
    for values in ({"access": "locked"}, {"clock": "gamma"}, {"workers": 1}):
        assert Config(algorithm=algorithm, **values).algorithm == algorithm


@pytest.mark.parametrize(
    ("values", "factor"),  # of the data set's lr, 0.1: half the threshold of curvature x lr in the theory's tables
    [
        ({"algorithm": "asgd", "workers": 1}, 1.0),
        ({"algorithm": "asgd", "workers": 33}, 0.024163745),
        ({"algorithm": "asgd", "workers": 33, "momentum": 0.9}, 0.004063528 / 2),
        ({"algorithm": "asgd", "workers": 33, "momentum": 0.9, "dampening": 0.9}, 0.040635277 / 2),
        ({"algorithm": "shifted", "workers": 9, "momentum": 0.9, "dampening": 0.9}, 0.244694464 / 2),
        ({"algorithm": "ssgd", "workers": 8}, 1.0),
        ({"algorithm": "ssgd", "workers": 8, "momentum": 0.9, "nesterov": True}, 1.9 / 2.8),  # 2 (1 + m) / (1 + 2 m)
        ({"algorithm": "sgd", "workers": 1, "dampening": 0.5}, 1.0),  # without momentum it damps nothing
    ],
)
def test_lr_auto_is_that_of_the_theory_for_the_delay(values, factor):
    config = Config.from_values({**values, "lr": "auto"})
    assert config.lr == pytest.approx(0.1 * factor, rel=1e-5)
    assert Config.from_values(config.values()) == config


def test_lr_auto_without_a_theory_is_refused():
    with pytest.raises(UsageError, match="no stability theory is known for algorithm staleness-aware"):
        Config(algorithm="staleness-aware", lr="auto")
