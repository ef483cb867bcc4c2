"""Tables: the weights of nn.Embedding and nn.EmbeddingBag with sparse=True, which are trained row by row.

A table [rows, dim] is no part of the flat buffer [n]. It lies once in shared memory, with the state of its rule, and
every worker reads and writes it there: it has no snapshot and no copy. Its gradients are sparse, the rows that a batch
has looked up; all other parameters have dense ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from hogwild.errors import UsageError

Layer = nn.Embedding | nn.EmbeddingBag


def table_layers(module: nn.Module) -> Iterator[tuple[str, Layer]]:
    """The layers with a sparse gradient whose weight is trained, by name; each once, however often it is used."""
    for name, layer in module.named_modules():
        if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) and layer.sparse and _owned(layer):
            yield name, layer


def tables_of(module: nn.Module) -> dict[str, nn.Parameter]:
    """The trained tables by the name of the parameter, in the order of `named_parameters()`; a tied one once."""
    weights = {id(layer.weight) for _, layer in table_layers(module)}
    return {name: weight for name, weight in module.named_parameters() if id(weight) in weights}


def require_tables(module: nn.Module) -> None:
    """UsageError, in one line that names the layer, for a table that cannot be trained row by row."""
    names = {id(weight): name for name, weight in tables_of(module).items()}
    for name, layer in table_layers(module):
        called = f"the model's {type(layer).__name__} {name or '(the model itself)'} has sparse=True and"
        if layer.max_norm is not None:
            raise UsageError(
                f"{called} max_norm={layer.max_norm:g}: its forward pass would write rows that other workers read. "
                f"Leave max_norm out and give row_max_norm={layer.max_norm:g} (--row-max-norm), which limits the norm "
                "of a row behind its update"
            )
        if layer.scale_grad_by_freq:
            raise UsageError(f"{called} scale_grad_by_freq=True: torch makes no sparse gradient of that; leave one out")
        if isinstance(layer, nn.EmbeddingBag) and layer.mode == "max":
            raise UsageError(f"{called} mode='max': torch makes no sparse gradient of that; use sum or mean")
    for name, owner in module.named_modules():
        for attribute, parameter in owner._parameters.items():
            is_table = isinstance(owner, (nn.Embedding, nn.EmbeddingBag)) and attribute == "weight" and owner.sparse
            if id(parameter) in names and not is_table:
                raise UsageError(
                    f"the model's parameter {names[id(parameter)]} is the weight of an embedding with sparse=True and "
                    f"also {attribute} of {type(owner).__name__} {name or '(the model itself)'}, whose gradient is "
                    "dense: a table is used by sparse embeddings alone. Use sparse=False, or untie the two"
                )


def _owned(layer: Layer) -> bool:
    """Whether its weight is a trained parameter of its own: one that is computed (parametrized) is none."""
    weight = layer._parameters.get("weight")
    return weight is not None and weight.requires_grad
