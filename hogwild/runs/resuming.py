"""The configuration of a run that is resumed: its own, with what is changed."""

from __future__ import annotations

from collections.abc import Mapping

from hogwild.config import FIELDS, LIMITS, Config, override
from hogwild.errors import UsageError
from hogwild.files.writing import refuse_links
from hogwild.runs.directory import DONE, LINKS, RunDirectory
from hogwild.tasks.own import FIT, LAUNCH


def resumed(given: Mapping[str, object], *, trust: bool = False) -> Config:
    """The configuration of the run `given["resume"]`, with the other values of `given` in place of its own.

    UsageError if one of them may not change, if the run is finished and its end is the same, or if it names own code
    and was made elsewhere (`trust`).
    """
    run = RunDirectory.open(str(given["resume"]))
    refuse_links(run.path, LINKS)
    before = run.config(trust=trust)
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
