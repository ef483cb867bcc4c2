"""The configuration of a run that is resumed: its own, with what is changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hogwild.config import FIELDS, LIMITS, Config, override
from hogwild.errors import UsageError
from hogwild.files.writing import refuse_links
from hogwild.runs.directory import DONE, LINKS, RunDirectory, is_run
from hogwild.runs.parts import is_part, newest_with_checkpoint, parts_of
from hogwild.tasks.own import FIT, LAUNCH


def resumed(given: Mapping[str, object], *, trust: bool = False) -> Config:
    """The configuration of the run `given["resume"]`, with the other values of `given` in place of its own.

    UsageError if one of them may not change, if the run is finished and its end is the same, or if it names own code
    and was made elsewhere (`trust`). Of a run of several boxes, a machine has the parts of its boxes: the configuration
    is that of one of them, and a new machine's is `given` alone.
    """
    path = Path(str(given["resume"]))
    run = find_run(path)
    if run is None and given.get("between") is not None:
        return Config.from_values(given)
    run = run or RunDirectory.open(path)  # which says why not
    refuse_links(run.path, LINKS)
    before = run.config(trust=trust)
    if run.path != path:
        given = _without_place(path, given)
    config = Config.from_values(override(before.values(), given))
    for name in (*(name for name, field in FIELDS.items() if field.metadata["fixed"]), "options"):
        here, there = getattr(config, name), getattr(before, name)
        if here != there and not (name == "data" and there == FIT):  # data without a name get one
            raise UsageError(f"--resume cannot change {name} from {there!r} to {here!r}: start a new run instead")
    limit = next((name for name in LIMITS if getattr(before, name) is not None), None)
    if limit is None or (before.data == LAUNCH and limit != "updates"):  # a loop of its own without an end
        return config
    if getattr(config, limit) == getattr(before, limit) and run.read_summary().get("exit_reason") == DONE:
        raise UsageError(f"{run.path} is finished ({limit} {getattr(before, limit):g}): give a later end, --{limit} N")
    return config


def find_run(path: Path) -> RunDirectory | None:
    """The run `path`; of several boxes the part of one of them. None if there is neither on this machine. UsageError if
    it is a part itself.
    """
    if is_run(path):
        run = RunDirectory.open(path)
        if is_part(path) and run.values(trust=True).get("between") is not None:
            raise UsageError(f"{path} is the part of one box: resume the run of all boxes, {path.parent}")
        return run
    part = next(map(newest_with_checkpoint, parts_of(path).values()), None)
    return None if part is None else RunDirectory.open(part)


def _without_place(path: Path, given: Mapping[str, object]) -> dict[str, object]:
    """`given` without --out and --name, which name the run `path` if they are given. UsageError if they do not."""
    out, name = given.get("out"), given.get("name")
    named = Path(str(out or path.parent)) / str(name or path.name)
    if (out is not None or name is not None) and named.resolve() != path.resolve():
        raise UsageError(f"--resume {path} goes on in that place, and --out and --name say {named}: leave them out")
    return {key: value for key, value in given.items() if key not in ("out", "name")}
