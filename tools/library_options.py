"""Writes hogwild/library/options.py, the keywords of hogwild.fit and hogwild.launch with their types, from the options
of a run: python tools/library_options.py
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import Field
from pathlib import Path
from typing import Any

from hogwild.cli.flags import algorithm_options
from hogwild.config import FIELDS
from hogwild.options import kind

PLACE = Path(__file__).parents[1] / "hogwild" / "library" / "options.py"
OF_THE_CALL = {
    "data",
    "model",
    "algorithm",
    "options",
    "workers",
    "quiet",
    "json",
    "resume",
    "ckpt",
    "validation",
    "init_from",
}
"""Options that fit and launch take as arguments of their own, or that mean nothing in a program."""
FIT_ONLY = {
    "accumulate", "amp", "channels_last", "clock", "compile", "cuda_graph", "drop_last", "edge_every", "epochs",
    "bandwidth", "latency", "on_bad_sample", "order", "record", "shard", "evaluate", "batch_size", "ckpt_every",
    "data_dir", "eval_every", "kill_stalled", "samples", "step_epochs", "warmup_samples", "between_wait", "boxes",
    "box_straggler",
}  # fmt: skip
"""Options about the data, the forward pass or the clock, which an own loop has itself or does not have; launch has an
own evaluate."""
TYPES = {
    "lr": 'float | Literal["auto"] | None',
    "schedule": "str | Callable[[float], float]",
    "out": "str | PathLike[str]",
    "data_dir": "str | PathLike[str] | None",
    "pin": "str",
    "tuple[float, ...]": "Sequence[float]",
    "Mapping[int, float]": "Mapping[int, float]",
}
HEAD = '''"""The keywords of hogwild.fit and hogwild.launch that are options of a run, with their types.

Written by `python tools/library_options.py`; do not edit it by hand. Defaults and checks are those of
hogwild.config.Config; options of single algorithms have the algorithm's own defaults (docs/options.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict


'''


def source() -> str:
    """The module's text."""
    run = {name: [field] for name, field in FIELDS.items() if name not in OF_THE_CALL}
    algorithms = {name: list(owners.values()) for name, owners in sorted(algorithm_options().items())}
    options = {**run, **{name: fields for name, fields in algorithms.items() if name not in run}}
    launch = {name: fields for name, fields in options.items() if name not in FIT_ONLY}
    fit = {name: fields for name, fields in options.items() if name in FIT_ONLY}
    return HEAD + "\n\n".join(
        [
            "\n".join(_class("LaunchOptions", "TypedDict, total=False", "Of every run.", launch)),
            "\n".join(_class("FitOptions", "LaunchOptions, total=False", "Of runs with a data set.", fit)),
        ]
    )


def _class(name: str, bases: str, text: str, options: dict[str, list[Field[Any]]]) -> Iterator[str]:
    yield f"class {name}({bases}):"
    yield f'    """{text}"""\n'
    for option, fields in options.items():
        yield f"    {option}: {_type(fields)}"
    yield ""


def _type(fields: Iterable[Field[Any]]) -> str:
    first = next(iter(fields))
    if first.name in TYPES:
        return TYPES[first.name]
    choices = dict.fromkeys(choice for field in fields for choice in field.metadata.get("choices") or ())
    base = TYPES.get(kind(first), kind(first))
    if choices:
        base = (
            "Literal["
            + ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)
            + "]"
        )
    return f"{base} | None" if any(field.default is None for field in fields) else base


if __name__ == "__main__":
    PLACE.write_text(source())
    print(PLACE)
