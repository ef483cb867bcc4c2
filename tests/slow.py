"""Parameters whose tests are run by .ci/long only, because others stand for them in every run."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def rest_is_slow(values: Iterable[Any], always: Container[Any]) -> list[Any]:
    """`values` as parameters; those that are not in `always` are marked slow."""
    return [value if value in always else slow(value) for value in values]


def slow(value: Any) -> Any:
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.slow)
