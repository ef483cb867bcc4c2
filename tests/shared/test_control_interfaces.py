"""The control block is what the interfaces of hogwild.shared.control say, and nothing beside them is used by name."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import hogwild
from hogwild.kernels.control import Control
from hogwild.shared.control import Gate, Ledger, Rounds, Tickets, Turns, Versions
from hogwild.shared.timeline import Timeline

PROTOCOLS = (Tickets, Versions, Turns, Rounds, Gate, Ledger, Timeline)
MEMORY = {"bytes", "workers", "stripes", "stripe_locks"}  # of the block in shared memory, not of what is agreed on
STUB = Path(hogwild.__file__).parent / "_C.pyi"


def members(protocol: type) -> set[str]:
    own = {name for name in vars(protocol) if not name.startswith("_")}
    return own | set(protocol.__annotations__)


def parameters_in_stub() -> dict[str, list[str]]:
    tree = ast.parse(STUB.read_text())
    control = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Control")
    methods = [node for node in control.body if isinstance(node, ast.FunctionDef)]
    return {method.name: [argument.arg for argument in method.args.args] for method in methods}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_control_block_implements_it(protocol: type):
    stub = parameters_in_stub()
    for name in members(protocol):
        assert hasattr(Control, name), f"{protocol.__name__}.{name} is not in the compiled module"
        if inspect.isfunction(found := getattr(protocol, name, None)):
            assert stub[name] == list(inspect.signature(found).parameters), name


def test_every_member_of_the_control_block_is_in_one_interface():
    public = {name for name in dir(Control) if not name.startswith("_")} - MEMORY
    listed = [name for protocol in PROTOCOLS for name in members(protocol)]
    assert sorted(listed) == sorted(public)
