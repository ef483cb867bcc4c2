"""`hogwild eval RUN`: the test score of a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from hogwild.cli import shell
from hogwild.runs.directory import RunDirectory
from hogwild.runs.files import to_json
from hogwild.runs.trust import TRUST
from hogwild.text import say


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_evaluate, argv)


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild eval", "Evaluate a checkpoint of a run on its test data.")
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("--ckpt", default="last", metavar="NAME", help="last, best or a name (default: last)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--trust", action="store_true", help=TRUST)
    parser.add_argument("--data", metavar="NAME", help="other data, or those that a program handed over as objects")
    parser.add_argument("--model", metavar="NAME", help="the model, if it is not found where the run says")
    return parser


def _evaluate(argv: Sequence[str]) -> int:
    options = parser().parse(argv)
    run = RunDirectory.open(options.run)
    from hogwild.drivers.instruments.evaluation import evaluate_checkpoint

    names = {name: value for name in ("data", "model") if (value := getattr(options, name)) is not None}
    result = evaluate_checkpoint(run, options.ckpt, trust=options.trust, names=names)
    if options.json:
        say(to_json(result))
    else:
        say("\n".join(f"{name:16} {value}" for name, value in result.items()))
    return 0
