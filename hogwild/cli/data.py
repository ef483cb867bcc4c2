"""`hogwild data list|check|get`: lists the data sets, checks their files, and downloads them."""

from __future__ import annotations

from collections.abc import Sequence

from hogwild.cli import shell
from hogwild.errors import DataError
from hogwild.options import unknown
from hogwild.text import say


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_data, argv)


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild data", "The data sets: list them, check their files, or get them.")
    parser.add_argument("action", choices=("list", "check", "get"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="data sets (list, check: default all)")
    parser.add_argument("--data-dir", metavar="DIR", help="directory of the files (default: $HOGWILD_DATA, the cache)")
    return parser


def _data(argv: Sequence[str]) -> int:
    from hogwild.tasks import DATASETS, describe, get

    options = parser().parse(argv)
    for name in options.names:
        if name not in DATASETS:
            raise unknown("data set", name, DATASETS)
    if options.action == "list":
        say("\n".join(describe(name, options.data_dir) for name in options.names or DATASETS))
    elif options.action == "check":
        good = [_check(name, options.data_dir) for name in options.names or DATASETS]
        return DataError.exit_code if options.names and not all(good) else 0
    elif not options.names:
        parser().error("get which data set? hogwild data list names them")
    else:
        for name in options.names:
            say(f"{name}: {get(name, options.data_dir)}")
    return 0


def _check(name: str, data_dir: str | None) -> bool:
    from hogwild.tasks import check

    results = check(name, data_dir)
    for file, is_good, message in results:
        say(f"{name:16} {'good' if is_good else 'BAD '} {file}: {' '.join(message.split())}")
    return all(is_good for _, is_good, _ in results)
