"""The terms that a class must keep to be an algorithm, and the lookup of its name."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

import hogwild
from hogwild.algorithms import REGISTRY, registry
from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.terms import check
from hogwild.config import Config
from hogwild.errors import UsageError

BUFFERS: Mapping[str, Buffer] = {"x": SHARED, "snapshot": SNAPSHOT}


@dataclass(frozen=True)
class Bare(Algorithm):
    name: ClassVar[str] = "bare"
    buffers: ClassVar[Mapping[str, Buffer]] = BUFFERS
    beta: float = 0.5
    power: int | None = None

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            w.push((yield Gradient(at=w.snapshot)))


@dataclass(frozen=True)
class Documented(Bare):
    """Says what it is.

    And more.
    """


@dataclass(frozen=True)
class Summed(Bare):
    """Not this."""

    summary: ClassVar[str] = "but this"


class Undecorated(Bare):
    gamma: float = 1.0


@dataclass
class Base:
    beta: float = 0.5


@dataclass(frozen=True)
class NoWorker(Algorithm):
    name: ClassVar[str] = "no-worker"
    buffers: ClassVar[Mapping[str, Buffer]] = BUFFERS


@dataclass(frozen=True)
class NoName(Bare):
    name: ClassVar[str] = ""


@dataclass(frozen=True)
class NoBuffers(Bare):
    buffers: ClassVar[Mapping[str, Buffer]] = None  # type: ignore[assignment]


@dataclass(frozen=True)
class NoX(Bare):
    buffers: ClassVar[Mapping[str, Buffer]] = {"v": SHARED}


@dataclass(frozen=True)
class NoGenerator(Bare):
    def worker(self, w: View) -> Steps:
        return iter(())  # type: ignore[return-value]


@dataclass(frozen=True)
class OddType(Bare):
    table: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NoDefault(Bare):
    theta: float = field(kw_only=True)


@dataclass(frozen=True)
class WrongDefault(Bare):
    kind: str = option("c", "", choices=("a", "b"))


@dataclass(frozen=True)
class Refuses(Bare):
    def __post_init__(self) -> None:
        raise ValueError("beta must be positive")


@dataclass(frozen=True)
class Colliding(Bare):
    workers: int = 3


@pytest.fixture(autouse=True)
def _nothing_is_registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_own", {})
    registry._plugins.cache_clear()
    yield
    registry._plugins.cache_clear()


@pytest.mark.parametrize("cls", REGISTRY.values(), ids=list(REGISTRY))
def test_built_in_algorithms_keep_the_terms(cls):
    assert check(cls, cls.name) is cls
    assert cls.about() == cls.summary


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (3, r"algorithm c is int 3: derive a class from hogwild\.algorithms\.base\.Algorithm"),
        (Base, r"algorithm c is class Base: derive a class"),
        (NoWorker, "it has no worker"),
        (Undecorated, r"no frozen dataclass: write @dataclass\(frozen=True\) above it"),
        (NoName, "it has no name"),
        (NoBuffers, "it has no buffers"),
        (NoX, "its buffers have no 'x', the shared parameters; they are v"),
        (NoGenerator, "worker is no generator"),
        (OddType, r"option table is of type dict\[str, int\], and options can be str; int; float"),
        (NoDefault, "option theta needs a default"),
        (WrongDefault, "the default of option kind: 'c' is not allowed; it must be one of a, b"),
        (Refuses, "it refuses its own defaults: beta must be positive"),
    ],
)
def test_violations_of_the_terms_are_reported(cls, message):
    with pytest.raises(UsageError, match=message) as told:
        check(cls, "c")
    assert "\n" not in str(told.value)


def test_a_docstring_is_not_asked_for():
    assert check(Bare, "bare").about() == "Bare"
    assert check(Documented, "c").about() == "Says what it is."
    assert check(Summed, "c").about() == "but this"


def test_an_option_may_not_be_called_like_one_of_every_run():
    name = registry.reference(Colliding)
    with pytest.raises(UsageError, match="its option 'workers' is also an option of every run"):
        Config(algorithm=name)


def test_a_registered_name_is_recorded_as_what_another_process_can_import():
    assert hogwild.register(Bare) is Bare
    config = Config.from_values({"algorithm": "bare", "beta": "0.25", "power": 2})
    assert config.algorithm == f"{__name__}:Bare"
    assert config.options == {"beta": 0.25, "power": 2}
    assert registry.find("bare") is registry.find(config.algorithm) is Bare
    assert Config.from_values(config.values()) == config
    assert "bare" in registry.known()
    assert Config(algorithm=registry.reference(REGISTRY["asgd"])).algorithm == "asgd"


def test_a_name_that_is_taken_is_refused(monkeypatch):
    @dataclass(frozen=True)
    class Second(Bare):
        name: ClassVar[str] = "asgd"

    with pytest.raises(UsageError, match=r"'asgd' is taken by hogwild\.algorithms\.stale\.asgd:ASGD: give .*Second"):
        hogwild.register(Second)
    hogwild.register(Bare)
    with pytest.raises(UsageError, match=r"'bare' is taken by .*:Bare: give Documented another"):
        hogwild.register(Documented)
    assert hogwild.register(Bare) is Bare, "a cell of a notebook may be run twice"
    monkeypatch.setattr(Bare, "name", "a,b")
    with pytest.raises(UsageError, match="algorithm name 'a,b' must be letters"):
        hogwild.register(Bare)
    with pytest.raises(UsageError, match="worker processes cannot import it"):
        registry.reference(Second)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("asdg", "unknown algorithm 'asdg'. Did you mean 'asgd'. Known: .*your own: module:Class"),
        ("nowhere:Mine", "--algorithm nowhere:Mine: no module 'nowhere' in .* or on PYTHONPATH"),
        (f"{__name__}:Bear", "--algorithm .*:Bear: .* has no 'Bear'. Did you mean 'Bare'"),
        (f"{__name__}:Base", "algorithm .*:Base is class Base: derive a class"),
        (f"{__name__}:", "--algorithm .*: write module:Class, for example my_algorithms:Mine"),
    ],
)
def test_a_name_that_leads_nowhere(name, message):
    with pytest.raises(UsageError, match=message):
        Config(algorithm=name)


def test_an_unknown_option_of_an_own_algorithm():
    name = registry.reference(Bare)
    with pytest.raises(UsageError, match=r"unknown option 'betta'. Did you mean 'beta'"):
        Config.from_values({"algorithm": name, "betta": 1})
    with pytest.raises(UsageError, match=r"has no option 'rho'; it has: beta, power. Known to: admm"):
        Config.from_values({"algorithm": name, "rho": 1})


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Creates a package in that folder with entry points for these algorithms."""
    about = folder / "some_package-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1\n")
    lines = [f"{name} = {value}\n" for name, value in points.items()]
    (about / "entry_points.txt").write_text("[hogwild.algorithms]\n" + "".join(lines))
    monkeypatch.syspath_prepend(str(folder))


def test_an_installed_package_brings_algorithms(tmp_path, monkeypatch, caplog):
    install(tmp_path, monkeypatch, bare=f"{__name__}:Bare", other=f"{__name__}:Bare", gone="nowhere:Mine",
            bad="raising:Mine", asgd="nowhere:ASGD")  # fmt: skip
    (tmp_path / "raising.py").write_text("1 / 0\n")
    config = Config.from_values({"algorithm": "bare", "beta": 0.25})
    assert (config.algorithm, registry.find("bare")) == ("bare", Bare)
    assert registry.names()[-4:] == ["bare", "other", "gone", "bad"]
    assert "raising" not in sys.modules, "it was imported without need"
    with caplog.at_level(logging.WARNING):
        assert set(registry.known()) == {*REGISTRY, "bare"}
    assert [line.partition("plug-in ")[2] for line in caplog.messages] == [
        f"other = {__name__}:Bare: the class calls itself 'bare'",
        "gone = nowhere:Mine cannot be loaded: ModuleNotFoundError: No module named 'nowhere'",
        "bad = raising:Mine cannot be loaded: ZeroDivisionError: division by zero",
    ]
    with pytest.raises(UsageError, match=r"plug-in bad = raising:Mine cannot be loaded: ZeroDivisionError"):
        Config(algorithm="bad")
    with pytest.raises(UsageError, match=r"'bare' is taken by .*:Bare: give Bare another"):
        hogwild.register(Bare)
