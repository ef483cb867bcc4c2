"""`hogwild export RUN OUT`: the trained weights as a plain state_dict, in .pt or .safetensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from hogwild.cli import shell
from hogwild.errors import UsageError
from hogwild.files.writing import replacing
from hogwild.runs.directory import RunDirectory
from hogwild.runs.trust import TRUST
from hogwild.tasks.own import FIT, LAUNCH
from hogwild.text import say

Weights = dict[str, Any]
Writer = Callable[[Weights, IO[bytes]], None]


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_export, argv)


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild export", "Write the weights of a run as a plain state_dict, for load_state_dict.")
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("out", metavar="OUT", help="OUT.pt or OUT.safetensors")
    parser.add_argument("--ckpt", default="last", metavar="NAME", help="last, best or a name (default: last)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--trust", action="store_true", help=TRUST)
    parser.add_argument("--ema", action="store_true", help="the average of the callback EMA in place of the model")
    return parser


def _export(argv: Sequence[str]) -> int:
    options = parser().parse(argv)
    run, out = RunDirectory.open(options.run), Path(options.out)
    write = _writer(out.suffix)
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists: choose another name, or --overwrite")
    weights, name = _weights(run, options.ckpt, ema=options.ema, trust=options.trust)
    try:
        with replacing(out) as file:
            write(weights, file)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error
    say(f"{out}: {len(weights)} tensors, {sum(w.numel() for w in weights.values()):,} values, {name}")
    return 0


def _weights(run: RunDirectory, name: str, *, ema: bool, trust: bool) -> tuple[Weights, str]:
    """The state_dict in a checkpoint, and the checkpoint's name. The model is built, and compared with it, unless a
    program made the run, whose model may have no name to import.
    """
    from hogwild.drivers.checkpoints import store
    from hogwild.drivers.checkpoints.weights import state_dict

    if ema or run.values(trust=True).get("data") in (FIT, LAUNCH):
        found = store.load(run.ckpt, name)
        return state_dict(found, ema=ema), found.name
    from hogwild.drivers.instruments.evaluation import load_model

    module, _, found = load_model(run, name, trust=trust)
    return {name: value.clone() for name, value in module.state_dict().items()}, found.name


def _writer(suffix: str) -> Writer:
    if suffix == ".pt":
        return _save_pt
    if suffix != ".safetensors":
        raise UsageError(f"export knows .pt and .safetensors, not {suffix or 'a name without an ending'!r}")
    try:
        from safetensors.torch import save
    except ImportError:
        raise UsageError("safetensors is not installed: pip install safetensors, or export to OUT.pt") from None

    def write(weights: Weights, file: IO[bytes]) -> None:
        file.write(save(weights))

    return write


def _save_pt(weights: Weights, file: IO[bytes]) -> None:
    import torch

    torch.save(weights, file)
