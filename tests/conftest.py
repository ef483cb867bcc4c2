"""One thread everywhere: with more, torch on a busy machine is tens of times slower, and tests are about results.

The key with which runs are marked as made here is one of its own, not the user's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

from hogwild.algorithms import registry

torch.set_num_threads(1)
# No test depends on how fast the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _no_algorithms_of_earlier_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, or names by module:Class, is unknown to the next."""
    monkeypatch.setattr(registry, "_own", {})
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


@pytest.fixture(autouse=True, scope="session")
def _a_state_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
