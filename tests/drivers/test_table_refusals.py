"""What cannot be trained row by row is refused in one line that names it, before the first update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from table_runs import DIM, ITEMS, TAGS, Pairs, data, pairs, run
from torch import Tensor, nn

import hogwild
from hogwild.algorithms import registry
from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.job.tables import require_trainable
from hogwild.errors import UsageError
from hogwild.shared.embeddings import tables_of
from hogwild.shared.layout import ParameterLayout, trainable
from hogwild.shared.placement import Placement


def with_items(**options: Any) -> nn.Module:
    model = Pairs()
    model.items = nn.Embedding(ITEMS, DIM, sparse=True, **options)
    return model


def with_max_bags() -> nn.Module:
    model = Pairs()
    model.tags = nn.EmbeddingBag(TAGS, DIM, mode="max", sparse=True)
    return model


def tied() -> nn.Module:
    model = Pairs()
    model.output = nn.Linear(DIM, ITEMS)
    model.output.weight = model.items.weight
    return model


def tied_to_dense() -> nn.Module:
    model = Pairs()
    model.again = nn.Embedding(ITEMS, DIM)
    model.again.weight = model.items.weight
    return model


class Penalised(Pairs):
    """Uses the whole weight of a table in its output, besides the rows."""

    def forward(self, rows: Tensor) -> Tensor:
        return super().forward(rows) + self.items.weight.square().mean()


class Functional(Pairs):
    """A sparse gradient of a parameter that is the weight of no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.randn(ITEMS, DIM))

    def forward(self, rows: Tensor) -> Tensor:
        return super().forward(rows) + F.embedding(rows[:, 0], self.words, sparse=True).sum(1, keepdim=True)


class OnlyFunctional(Functional):
    """The same, and no table."""

    def __init__(self) -> None:
        super().__init__()
        self.items.sparse = self.tags.sparse = False


MODELS = {
    "max_norm": (lambda: with_items(max_norm=2.0), r"Embedding items .*max_norm=2: .*give row_max_norm=2 "),
    "scale": (lambda: with_items(scale_grad_by_freq=True), r"Embedding items .*scale_grad_by_freq=True"),
    "max": (with_max_bags, r"EmbeddingBag tags .*mode='max'"),
    "tied": (tied, r"items\.weight is .* also weight of Linear output, whose gradient is dense"),
    "dense": (tied_to_dense, r"items\.weight is .* also weight of Embedding again, whose gradient is dense"),
    "penalty": (Penalised, r"gradient of items\.weight is dense, and items has sparse=True"),
    "functional": (Functional, r"gradient of words is sparse, and words is no weight of an nn\.Embedding"),
    "no table": (OnlyFunctional, r"gradient of words is sparse, and words is no weight of an nn\.Embedding"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_that_are_not_trained_row_by_row(tmp_path: Path, name: str):
    make, message = MODELS[name]
    with pytest.raises(UsageError, match=message) as error:
        run(tmp_path, lambda _: make(), algorithm="asgd", clock="round-robin", workers=2)
    assert "\n" not in str(error.value)


def step(worker: hogwild.Worker) -> None:
    worker.step(worker.model(torch.ones(5, 4, dtype=torch.int64)).mean())


@pytest.mark.parametrize("model", [Penalised, Functional, OnlyFunctional, tied])
def test_a_loop_of_its_own_is_refused_at_its_first_step(tmp_path: Path, model: Any):
    with pytest.raises(UsageError, match=r"the gradient of|whose gradient is dense"):
        hogwild.launch(step, model, workers=1, out=str(tmp_path))


FAMILIES = {
    name: cls.__module__.split(".")[-2] for name, cls in registry.loaded().items() if "." in cls.__module__
}  # fmt: skip


TABLES_OF_GRADIENTS = {"ia2sgd", "ringleader"}  # they keep dense gradients of all workers
DENSE = {*TABLES_OF_GRADIENTS, "picky", "ringmaster-muon"}  # the last two look at whole vectors and matrices


def test_the_stale_family_and_sgd_take_tables_and_no_other():
    takes = {name for name in FAMILIES if registry.find(name)().takes_tables}
    assert takes == {name for name, family in FAMILIES.items() if family == "stale"} - DENSE | {"sgd"}
    assert not registry.find("asysg-incon")(coords="one").takes_tables


@pytest.mark.parametrize(
    "algorithm",
    [n for n, f in FAMILIES.items() if n in DENSE or (f != "stale" and n not in ("sgd", "ssgd"))],
)
def test_other_algorithms_refuse_tables_by_name(tmp_path: Path, algorithm: str):
    message = rf"algorithm {algorithm} does not make one push .* table items\.weight .*use sgd, asgd, adamw"
    with pytest.raises(UsageError, match=message):
        run(tmp_path, algorithm=algorithm, clock="gamma", workers=4)


OPTIONS = [
    ({"table_decay": "lazy"}, "table_decay is lazy, but there is no weight decay"),
    ({"table_rule": "sgd", "table_eps": 1e-3}, "table_eps is for adaptive table rules, this one is sgd"),
    ({"table_catch_up": True}, "table_catch_up is for table rule momentum, this one is sgd"),
    ({"table_rule": "momentum", "table_catch_up": True, "weight_decay": 0.1, "table_decay": "catch-up"}, "give one"),
    ({"table_rule": "lion"}, "table_rule is 'lion': expected one of|table_rule"),
    ({"edge_every": 5}, "leave --edge-every out"),
    ({"compile": True}, "leave --compile out"),
    ({"clock": "geometric:2"}, "this model has tables, which are read in place|clock"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_options_that_do_not_go_with_tables(tmp_path: Path, options: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        run(tmp_path, **{"clock": "round-robin", "workers": 2, "algorithm": "asgd", **options})


@pytest.mark.parametrize(
    ("place", "cuda_graph", "message"),
    [
        (Placement((0, 1), (0, 1)), False, "lies in the memory of one device.*use --gpus 1 and leave --master"),
        (torch.device("cuda", 0), True, "whose rows differ from batch to batch.*Leave --cuda-graph out"),
    ],
)
def test_tables_are_in_the_memory_of_one_device(place: Any, cuda_graph: bool, message: str):
    config = Config(data="digits", algorithm="asgd", cuda_graph=cuda_graph)
    job = make_job(Config(data="digits", algorithm="asgd"), data(), pairs)
    with pytest.raises(UsageError, match=message):
        require_trainable(config, job.algorithm, job.build(), place)


@pytest.mark.parametrize("option", [{"table_lr": 0.1}, {"table_rule": "adam"}, {"table_decay": "lazy"}])
def test_options_of_tables_need_a_table(tmp_path: Path, option: dict[str, Any]):
    with pytest.raises(UsageError, match=f"{next(iter(option))} is an option of tables, and the model has none"):
        run(tmp_path, lambda _: nn.Sequential(nn.Flatten(), nn.Embedding(ITEMS, 1)), clock="round-robin", **option)


def test_a_frozen_table_is_none_and_groups_reach_the_others(tmp_path: Path):
    def groups(name: str, _: nn.Parameter) -> dict[str, float]:
        return {"lr": 0.0} if name == "tags.weight" else {"lr": 0.5} if name == "items.weight" else {}

    from hogwild.drivers.job.tables import training_of

    config = Config.from_values({"algorithm": "asgd", "workers": 1, "lr": 0.2, "table_lr": 0.1, "batch_size": 5})
    job = make_job(config, data(), pairs, groups)
    module = job.build()
    assert list(tables_of(module)) == ["items.weight"]
    assert training_of(config, job.algorithm, module, groups).factors == ((0.25, 0.0),)
    decays = {"items.weight": {"weight_decay": 0.3}}
    with pytest.raises(UsageError, match=r"group of the table items\.weight has weight_decay 0\.3, and table_decay is"):
        training_of(config, job.algorithm, module, lambda name, _: decays.get(name, {}))


def test_tables_are_no_part_of_the_flat_layout():
    model = Pairs()
    model.again = model.items  # one layer under two names
    assert list(tables_of(model)) == ["items.weight", "tags.weight"]
    assert ParameterLayout.of(model, torch.float32).names == ("head.weight", "head.bias")
    assert [parameter.shape for parameter in trainable(model)] == [(1, DIM), (1,)]
    alone = ParameterLayout.of(nn.Embedding(5, 3, sparse=True), torch.float64)
    assert (alone.names, alone.n) == ((), 16)
    model.items.weight.requires_grad_(False)
    assert list(tables_of(model)) == ["tags.weight"]
