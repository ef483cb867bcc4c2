"""The compiled module hogwild._C: loads it, and reports its build options."""

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
    """The properties of this build: cuda, cuda_archs, debug, compiler, isa (sets that this processor can run),
    isa_in_use.
    """
    return {**_C.build, "isa_in_use": _C.isa()}


def use_isa(name: str) -> None:
    """Makes the CPU kernels use one instruction set: `avx512`, `avx2` or `baseline`. The environment variable
    HOGWILD_ISA does the same.

    All of them give bit-identical buffers; only the order in which the statistics are summed differs.

    Raises: ValueError if this build or this processor does not have it.
    """
    _C.use_isa(name)
