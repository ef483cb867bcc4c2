"""Imported by the fork server alone: a process that is forked from it can be ended by SIGTERM and SIGHUP.

The fork server itself has these signals blocked, and others than our workers may be forked from it: a pool of the
caller's program ends its processes by SIGTERM.
"""

from __future__ import annotations

import os
import signal

os.register_at_fork(after_in_child=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP}))
