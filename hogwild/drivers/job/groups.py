"""Parameter groups: which parameters have a learning rate or a weight decay of their own.

--no-decay names kinds of parameters without weight decay. In the library, `groups` is a function of a parameter's name
and the parameter: it returns the factor of lr and the weight decay that this parameter has, {"lr": 0.1, "weight_decay":
0.0}, or leaves either out. With {"lr": 0} the parameter is not trained: requires_grad is set to False, so it costs no
gradient and no pass over memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn

from hogwild.config import Config
from hogwild.errors import UsageError
from hogwild.shared.embeddings import tables_of
from hogwild.shared.groups import Groups

GroupFn = Callable[[str, nn.Parameter], Mapping[str, float]]
KEYS = ("lr", "weight_decay")


def freeze(module: nn.Module, groups: GroupFn | None) -> nn.Module:
    """`module`, in which the parameters whose group has lr 0 are not trained any more."""
    for name, parameter in module.named_parameters() if groups is not None else ():
        if group_of(groups, name, parameter).get("lr") == 0:
            parameter.requires_grad_(False)
    return module


def groups_of(config: Config, module: nn.Module, groups: GroupFn | None) -> Groups:
    """The factors of every trained parameter in the flat buffer. UsageError for a group that cannot be read."""
    base = config.weight_decay or 1.0  # what the factors of the weight decay are factors of
    exempt = config.no_decay.split(",")
    tables = tables_of(module)
    factors = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and name not in tables:
            group = group_of(groups, name, parameter)
            decay = group.get("weight_decay", 0.0 if kind(name, parameter) in exempt else config.weight_decay)
            factors.append((group.get("lr", 1.0), decay / base))
    if all(factor == (1.0, config.weight_decay / base) for factor in factors):
        return Groups()
    return Groups(tuple(factors), base)


def kind(name: str, parameter: nn.Parameter) -> str:
    """bias: called so; norm: any other parameter of fewer than two dimensions; weight: the others."""
    if name.rpartition(".")[2] == "bias":
        return "bias"
    return "norm" if parameter.dim() < 2 else "weight"


def group_of(groups: GroupFn | None, name: str, parameter: nn.Parameter) -> Mapping[str, float]:
    """The caller's group of a parameter; {} if there are no groups. UsageError for one that cannot be read."""
    if groups is None:
        return {}
    group: Any = groups(name, parameter)
    for fault in _faults(group):
        raise UsageError(
            f'groups({name!r}, ...) {fault}; expected {{"lr": factor, "weight_decay": wd}}, or a part of it'
        )
    return {key: float(value) for key, value in group.items()}


def _faults(group: Any) -> Iterator[str]:
    if not isinstance(group, Mapping):
        yield f"returned {type(group).__name__}"
        return
    for key, value in group.items():
        if key not in KEYS:
            yield f"has the key {key!r}"
        elif not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
            yield f"gave {value!r} for {key}, which must be a number >= 0"
