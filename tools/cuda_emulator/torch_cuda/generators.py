"""Random numbers of a device, which has its own generator."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from torch_cuda import library

DRAWS = re.compile(
    "rand|drop|normal|uniform|bernoulli|exponential|multinomial|poisson|geometric|cauchy|attention|rnn|lstm"
)

_defaults: dict[int, torch.Generator] = {}


class Generator(torch.Generator):
    """A generator with the device to which it belongs."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        generator = super().__new__(cls)
        generator.place = library.resolve(device)
        return generator

    def __init__(self, device: Any = "cpu") -> None:
        pass

    @property
    def device(self) -> torch.device:
        return library.name(self.place)


def default(device: int) -> torch.Generator:
    return _defaults.setdefault(device, Generator(f"cuda:{device}"))


def check(generator: Any, where: int) -> None:
    """Raises RuntimeError for a generator of another device."""
    own = getattr(generator, "place", library.HOST)
    if generator is not None and (own >= 0) != (0 <= where < library.PINNED):
        raise RuntimeError(f"Expected a {library.name(where)} device type for generator but found {library.name(own)}")


@contextlib.contextmanager
def drawing(what: str, where: int) -> Iterator[None]:
    """Gives torch's default generator the state of the device's generator while a function that may draw runs."""
    if not 0 <= where < library.PINNED or not DRAWS.search(what):
        yield
        return
    of_host, of_device = torch.default_generator, default(where)
    before = of_host.get_state()
    of_host.set_state(of_device.get_state())
    try:
        yield
    finally:
        of_device.set_state(of_host.get_state())
        of_host.set_state(before)


def manual_seed_all(seed: int) -> None:
    for device in range(library.device_count()):
        default(device).manual_seed(seed)


def manual_seed(seed: int) -> None:
    default(library.current_device()).manual_seed(seed)


def get_rng_state_all() -> list[torch.Tensor]:
    return [default(device).get_state() for device in range(library.device_count())]


def set_rng_state_all(states: Iterable[torch.Tensor]) -> None:
    for device, state in enumerate(states):
        default(device).set_state(state)


def install() -> None:
    torch.Generator = Generator
    torch.cuda.manual_seed_all, torch.cuda.manual_seed = manual_seed_all, manual_seed
    torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all = get_rng_state_all, set_rng_state_all
