"""The tables of a run: whether it can train them, how, and with which push."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Algorithm, Scope
from hogwild.config import Config
from hogwild.drivers.job.groups import GroupFn, group_of
from hogwild.errors import UsageError
from hogwild.kernels import SparsePush
from hogwild.rules import Access, Guard
from hogwild.shared.embeddings import require_tables, table_layers, tables_of
from hogwild.shared.layout import trainable
from hogwild.shared.placed_arena import PlacedArena
from hogwild.shared.placement import Placement
from hogwild.shared.table_memory import Training
from hogwild.shared.world import World
from hogwild.tables import TABLE_RULES, SparseMomentum, TableRule, check_decay

ROWS_REMEDY = "; --table-rule row-adagrad keeps the hot rows of tables from diverging"
LARGE = 1 << 22  # elements of an embedding: a dense pass over it takes milliseconds

OPTIONS = ("table_rule", "table_lr", "table_eps", "table_catch_up", "row_max_norm")
"""Options that have no effect without tables. (Table decay alone has a default that is also a choice.)"""


def require_trainable(config: Config, algorithm: Algorithm, module: nn.Module, place: torch.device | Placement) -> None:
    """UsageError, in one line, if the run cannot train the tables of its model, or has options for tables and the model
    has none.
    """
    require_tables(module)
    if not (names := list(tables_of(module))):
        given = [name for name in OPTIONS if getattr(config, name)] + ["table_decay"] * (config.table_decay != "none")
        if given:
            raise UsageError(
                f"{given[0]} is an option of tables, and the model has none: use nn.Embedding(..., sparse=True), or "
                "leave it out"
            )
        return
    called = f"the model's table {names[0]} (an embedding with sparse=True)"
    if not algorithm.takes_tables:
        raise UsageError(
            f"algorithm {config.algorithm} does not make one push of every gradient onto the shared model, which "
            f"{called} needs: use sgd, asgd, adamw, rmsprop, adagrad or another of hogwild list algorithms stale, or "
            "sparse=False"
        )
    if isinstance(place, Placement):
        raise UsageError(
            f"{called} lies in the memory of one device, the host's or a GPU's, with the workers: use --gpus 1 and "
            "leave --master out, or sparse=False"
        )
    if config.cuda_graph:
        raise UsageError(
            f"{called} has a sparse gradient, whose rows differ from batch to batch: a CUDA graph replays the same "
            "work. Leave --cuda-graph out"
        )
    if config.compile:
        raise UsageError(f"{called} has a sparse gradient, which torch.compile does not make: leave --compile out")
    if config.edge_every:
        raise UsageError(f"{called} has a sparse gradient, which has no curvature: leave --edge-every out")


def training_of(config: Config, algorithm: Algorithm, module: nn.Module, groups: GroupFn | None) -> Training:
    """How the tables of the model are trained. UsageError for options that do not go together."""
    if not (tables := tables_of(module)):
        return Training()
    rule, decay, base = rule_of(config, algorithm), config.table_decay, config.weight_decay
    base = base if decay != "none" else 0.0
    lr = (config.table_lr or config.lr) / config.lr
    factors = []
    for name, weight in tables.items():
        group = group_of(groups, name, weight)
        own = group.get("weight_decay", base)
        if own and decay == "none":
            raise UsageError(
                f"the group of the table {name} has weight_decay {own:g}, and table_decay is none: choose lazy (rows "
                "that a push touches) or catch-up (all rows)"
            )
        factors.append((lr * group.get("lr", 1.0), own / (base or 1.0)))
    weight_decay = (base or 1.0) if any(own for _, own in factors) else 0.0
    if decay != "none" and not weight_decay:
        raise UsageError(f"table_decay is {decay}, but there is no weight decay: give weight_decay, or leave it out")
    try:
        rule.check()
        check_decay(rule, decay, weight_decay)
    except ValueError as error:
        raise UsageError(f"table rule {rule.name}: {error}") from None
    return Training(rule, decay, weight_decay, config.row_max_norm, tuple(factors))


def rule_of(config: Config, algorithm: Algorithm) -> TableRule:
    """The rule that the run names, else the algorithm's; with the constants that the algorithm has too."""
    name = config.table_rule or algorithm.table_rule
    constants: dict[str, float | bool] = {}
    if name == "momentum":
        factor = getattr(algorithm, "momentum", 0.0) or getattr(algorithm, "beta1", 0.0)
        constants = {"catch_up": config.table_catch_up, **({"momentum": factor} if factor else {})}
    elif config.table_catch_up:
        raise UsageError(f"table_catch_up is for table rule momentum, this one is {name}: leave it out")
    if name == "adam":
        constants = {key: getattr(algorithm, key) for key in ("beta1", "beta2") if hasattr(algorithm, key)}
    if config.table_eps is not None:
        if name in ("sgd", "momentum"):
            raise UsageError(f"table_eps is for adaptive table rules, this one is {name}: leave it out")
        constants["eps"] = config.table_eps
    rule: TableRule = TABLE_RULES[name](**constants)
    return rule


def notes(algorithm: Algorithm, module: nn.Module, world: World) -> Iterator[str]:
    """What holds for the dense parameters and not for tables, and large embeddings that are none, one line each."""
    if algorithm.takes_tables and not isinstance(world.arena, PlacedArena):  # which refuses tables
        yield from _large(module)
    if not world.tables:
        return
    rule, kept = world.tables.training.rule, algorithm.keeps()
    if "v" in rule.state(1, 1) and "v" in kept and kept["v"].scope is not Scope.SHARED:
        yield (
            f"tables: the first moment of rule {rule.name} is one for all workers; of the other parameters algorithm "
            f"{algorithm.name} keeps one for each"
        )
    if algorithm.needs_snapshot and getattr(algorithm, "penalty", "gap") == "gap":
        yield (
            f"tables: they have no snapshot with which algorithm {algorithm.name} could compare them; their rows take "
            f"the steps of rule {rule.name} as they are"
        )


def _large(module: nn.Module) -> Iterator[str]:
    for name, layer in module.named_modules():
        if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) and not layer.sparse and layer.weight.requires_grad:
            rows, elements = layer.weight.shape[0], layer.weight.numel()
            if elements >= LARGE:
                yield (
                    f"the model's {type(layer).__name__} {name} has {rows:,} rows and a dense gradient: every update "
                    "passes over all of them. With sparse=True it costs the rows that a batch looks up"
                )


def diverges(world: World) -> bool:
    """Whether the run has tables, and a row's step does not shrink with the gradients that it has had, so that delay
    can make it diverge.
    """
    rule = world.tables.training.rule
    return bool(world.tables) and (rule.name == "sgd" or isinstance(rule, SparseMomentum))


def sparse_push(world: World, access: Access = Access.RACING, guard: Guard = Guard.PUSH) -> SparsePush:
    """The push of a world's tables."""
    training, striped = world.tables.training, access is Access.STRIPED
    return SparsePush(
        world.tables.segments(world.arena),
        training.rule,
        access=access,
        guard=guard,
        decay=training.decay,
        weight_decay=training.weight_decay,
        row_max_norm=training.row_max_norm,
        stripes=world.locks() if striped else 0,
        n_stripes=world.stripes if striped else 0,
    )


def require_gradients(module: nn.Module, loss: Tensor) -> None:
    """UsageError, naming the layer or the parameter, unless the gradients of tables are sparse and all others dense.
    Computes them, and leaves none behind.
    """
    tables, others = tables_of(module), trainable(module)
    found = torch.autograd.grad(loss, [*tables.values(), *others], allow_unused=True)
    for name, g in zip(tables, found, strict=False):
        if g is not None and g.layout is not torch.sparse_coo:
            raise is_dense(module, name)
    require_dense(module, found[len(tables) :], others)


def require_dense(module: nn.Module, gradients: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> None:
    """UsageError, naming the parameter, for a sparse gradient of one that is no table."""
    for parameter, g in zip(parameters, gradients, strict=True):
        if g is not None and g.layout is not torch.strided:
            name = next(name for name, known in module.named_parameters() if known is parameter)
            raise UsageError(
                f"the gradient of {name} is sparse, and {name} is no weight of an nn.Embedding or nn.EmbeddingBag with "
                "sparse=True, which alone are trained row by row: use such a layer, or sparse=False"
            )


def is_dense(module: nn.Module, name: str) -> UsageError:
    """The error for a dense gradient of the table `name`."""
    weight = tables_of(module)[name]
    layers = [called or "the model itself" for called, layer in table_layers(module) if layer.weight is weight]
    return UsageError(
        f"the gradient of {name} is dense, and {' and '.join(layers)} has sparse=True: the model uses the weight "
        "outside of its embedding too (a tied output layer, a penalty on the weight). Use sparse=False"
    )
