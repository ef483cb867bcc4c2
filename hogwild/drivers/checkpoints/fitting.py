"""Checks that a value read from a file has the type that a dataclass declares, including all elements of lists."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import torch

from hogwild.text import quoted


def require_types(values: dict[str, Any], cls: type) -> None:
    """TypeError naming the first of `values` that is not of the type that the annotations of `cls` state."""
    hints = get_type_hints(cls)
    for name, value in values.items():
        if name not in hints or not fits(value, hints[name]):
            raise TypeError(f"{quoted(name)} is {quoted(value) if name in hints else 'not known'}")


def fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the type `hint`: lists, dicts, TypedDicts, unions, tensors and numbers."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if origin is dict:
        key, item = arguments
        return isinstance(value, dict) and all(fits(k, key) and fits(v, item) for k, v in value.items())
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if is_typeddict(hint):
        fields = get_type_hints(hint)
        known = isinstance(value, dict) and hint.__required_keys__ <= value.keys() <= fields.keys()
        return known and all(fits(value[name], fields[name]) for name in value)
    if hint is torch.Tensor:  # dense and on the CPU, as all saved tensors are
        return type(value) is torch.Tensor and value.layout is torch.strided and value.device.type == "cpu"
    if hint is int:
        return type(value) is int and -(1 << 63) <= value < 1 << 63
    if hint is float:
        return type(value) in (int, float)
    return hint is Any or isinstance(value, hint)
