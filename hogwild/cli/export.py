"""`hogwild export RUN OUT`: the trained weights as a plain state_dict, in .pt or .safetensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hogwild.cli import shell
from hogwild.errors import UsageError
from hogwild.runs.directory import RunDirectory

Weights = dict[str, Any]
Writer = Callable[[Weights, Path], None]


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_export, argv)


def _export(argv: Sequence[str]) -> int:
    parser = shell.Parser("hogwild export", "Write the weights of a run as a plain state_dict, for load_state_dict.")
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("out", metavar="OUT", help="OUT.pt or OUT.safetensors")
    parser.add_argument("--ckpt", default="last", metavar="NAME", help="last, best or a name (default: last)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    options = parser.parse(argv)
    run, out = RunDirectory.open(options.run), Path(options.out)
    write = _writer(out.suffix)
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists: choose another name, or --overwrite")
    from hogwild.drivers.checkpoints import store as checkpoint

    found = checkpoint.load(run.ckpt, options.ckpt)
    weights = _weights(run, found.state)
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        write(weights, temporary)
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(f"cannot write {out}: {error.strerror}") from error
    print(f"{out}: {len(weights)} tensors, {sum(w.numel() for w in weights.values()):,} values, {found.name}")
    return 0


def _weights(run: RunDirectory, state: dict[str, Any]) -> Weights:
    """The model's state_dict: parameters by name, BatchNorm statistics pooled over the workers."""
    from hogwild.drivers.checkpoints.state import State
    from hogwild.drivers.job.model import build, model_fn
    from hogwild.tasks import load

    config = run.config()
    module = build(config, load(config.data, config.data_dir), model_fn(config))
    State.from_plain(state).load_module(module)
    return {name: value.clone() for name, value in module.state_dict().items()}


def _writer(suffix: str) -> Writer:
    if suffix == ".pt":
        return _save_pt
    if suffix != ".safetensors":
        raise UsageError(f"export knows .pt and .safetensors, not {suffix or 'a name without an ending'!r}")
    try:
        from safetensors.torch import save_file
    except ImportError:
        raise UsageError("safetensors is not installed: pip install safetensors, or export to OUT.pt") from None
    return save_file


def _save_pt(weights: Weights, path: Path) -> None:
    import torch

    with path.open("wb") as file:
        torch.save(weights, file)
