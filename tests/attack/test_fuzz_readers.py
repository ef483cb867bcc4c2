"""No damaged file ends in a traceback, writes elsewhere, executes anything or takes much memory.

HOGWILD_FUZZ_CASES sets the cases per reader (20; five hundred are a minute's work), HOGWILD_FUZZ_SEED other damage.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import warm

CASES = int(os.environ.get("HOGWILD_FUZZ_CASES", "20"))
SEED = os.environ.get("HOGWILD_FUZZ_SEED", "0")
PEAK_BYTES = 1_000_000_000
READERS = 24


@pytest.mark.timeout(100 + CASES)
def test_damaged_files_are_refused_in_one_line_or_read():
    script = Path(__file__).with_name("fuzz_readers.py")
    command = [sys.executable, str(script), str(CASES), SEED]
    done = warm.run(command, capture_output=True, text=True, timeout=90 + CASES, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["findings"] == []
    assert facts["written"] == []
    assert facts["executed"] == []
    assert facts["peak_bytes"] < PEAK_BYTES
    assert facts["cases"] == READERS * CASES
