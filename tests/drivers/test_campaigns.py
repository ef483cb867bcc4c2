"""Kills at random moments, of workers in many algorithms and of processes that save: the long forms are scripts.

HOGWILD_KILLS sets the number of kills of either kind (60; five hundred take a quarter of an hour), HOGWILD_KILLS_SEED
other moments.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("HOGWILD_KILLS", "60"))
SEED = os.environ.get("HOGWILD_KILLS_SEED", "0")
LIMIT_S = 600 + 10 * KILLS


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 10)
@pytest.mark.parametrize("script", ["random_kills.py", "random_save_kills.py"])
def test_kills_at_random_moments_lose_nothing(script: str):
    command = [sys.executable, str(Path(__file__).with_name(script)), "--kills", str(KILLS), "--seed", SEED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
