"""The compiled module hogwild._C: whether it loads, and what it was built with."""

from __future__ import annotations

from hogwild.errors import UsageError


class ExtensionError(UsageError, ImportError):
    """hogwild._C is missing or does not load."""


try:
    from hogwild import _C
except ImportError as error:
    raise ExtensionError(
        f"the compiled module hogwild._C does not load ({error}): build it with `pip install .` "
        "(or `pip install -e .`) in a checkout of hogwild"
    ) from error


def build_info() -> dict[str, object]:
    """What this build holds: cuda, cuda_archs, debug, compiler, isa (what this processor can run), isa_in_use."""
    return {**_C.build, "isa_in_use": _C.isa()}


def use_isa(name: str) -> None:
    """Let the CPU kernels use one instruction set: `avx512`, `avx2` or `baseline`. HOGWILD_ISA does it from outside.

    All give the same bits in every buffer; only the order in which the statistics are summed differs.

    Raises: ValueError if this build or this processor does not have it.
    """
    _C.use_isa(name)
