"""Calls the callbacks of a run, keeps what they save, and says which of them failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from hogwild.drivers.callbacks.callback import Callback, Run
from hogwild.errors import UsageError
from hogwild.own_code import described

PLAIN = (int, float, str, bool, type(None))


class Caller:
    """The callbacks of one run, in their order.

    `fails(where, error)` is called with the exception of a callback, as "EMA.on_eval". The callback is then left out.
    """

    def __init__(self, callbacks: Sequence[Callback], run: Run, fails: Callable[[str, Exception], None]) -> None:
        self.run = run
        self._fails = fails
        self._callbacks = _named(callbacks)
        self._failed: set[str] = set()
        self._has_ended = False

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def intervals(self) -> dict[str, int]:
        """Updates between the copies that each callback asks for, by its name."""
        return {name: callback.copies_every for name, callback in self._callbacks.items() if callback.copies_every}

    def call(self, hook: str, names: Sequence[str] | None = None) -> None:
        """Calls the method `hook` of all callbacks, or of those named."""
        for name, callback in self._callbacks.items():
            if name not in self._failed and (names is None or name in names):
                try:
                    getattr(callback, hook)(self.run)
                except Exception as error:
                    self._failed.add(name)
                    self._fails(f"{name}.{hook}", error)

    def end(self, summary: dict[str, Any], error: BaseException | None) -> None:
        """Calls on_end, once."""
        if not self._has_ended:
            self._has_ended = True
            self.run.summary, self.run.error = summary, error
            self.call("on_end")

    def states(self) -> dict[str, Any]:
        """What a checkpoint keeps of the callbacks, by name."""
        found = {}
        for name, callback in self._callbacks.items():
            if name in self._failed:
                continue
            try:
                if state := callback.state_dict():
                    found[name] = _plain(state, f"{name}.state_dict()")
            except Exception as error:
                self._failed.add(name)
                self._fails(f"{name}.state_dict", error)
        return found

    def restore(self, states: Mapping[str, Any]) -> list[str]:
        """Gives the callbacks their states in a checkpoint. Returns lines on those without, and on states without a
        callback.
        """
        for name in self._callbacks.keys() & states.keys():
            try:
                self._callbacks[name].load_state_dict(states[name])
            except Exception as error:
                self._failed.add(name)
                self._fails(f"{name}.load_state_dict", error)
        fresh = [name for name, callback in self._callbacks.items() if name not in states and callback.state_dict()]
        return [f"callback {name} has no state in the checkpoint: it begins anew" for name in fresh] + [
            f"the checkpoint has a state of callback {name}, which this run does not have: it is left out"
            for name in states
            if name not in self._callbacks
        ]


def _named(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """By the names of their classes; the second of a class is `EMA-2`. UsageError for what is no callback."""
    found: dict[str, Callback] = {}
    if not isinstance(callbacks, Sequence):
        raise UsageError(f"callbacks must be a list of hogwild.Callback objects; it is {described(callbacks)}")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            hint = " (its class: call it)" if isinstance(callback, type) and issubclass(callback, Callback) else ""
            raise UsageError(f"callbacks: {described(callback)} is no hogwild.Callback{hint}")
        kind = type(callback).__name__
        if not isinstance(every := callback.copies_every, int) or every < 0:
            raise UsageError(f"callbacks: {kind} wants a copy every {described(every)} updates: give a whole number")
        count = sum(type(other).__name__ == kind for other in found.values())
        found[f"{kind}-{count + 1}" if count else kind] = callback
    return found


def _plain(value: Any, what: str) -> Any:
    """`value`, copied, if a checkpoint can hold it: reading one runs no code. TypeError if not."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {_plain(key, what): _plain(item, what) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, what) for item in value]
    if type(value) not in PLAIN:
        raise TypeError(f"{what} holds {described(value)}: give tensors, numbers, texts, lists and dicts of them")
    return value
