"""The phases of workers: their seconds, their records in the control block, and the file of the records."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from control_blocks import WAIT_S, block

from hogwild.errors import DataError
from hogwild.kernels.control import LEAST_GAP, Control, Phase
from hogwild.runs import timeline
from hogwild.runs.timeline import LOST, PHASES, TimelineFile, read

RING = 8192


def numbers(records: bytes) -> list[int]:
    return [int(record) for record in np.frombuffer(records, "<u8")]


def test_names_are_those_of_the_control_block():
    found = {int(phase.value): name.lower() for name, phase in Phase.__members__.items()}
    assert tuple("waiting" if found[k] == "barrier" else found[k] for k in range(len(found))) == PHASES


def test_the_seconds_of_a_phase_end_with_it():
    control = block(2)
    for phase, ns in ((Phase.DATA, 5), (Phase.GRADIENT, 105), (Phase.GRADIENT, 305), (Phase.UPDATE, 1105)):
        control.set_phase_at(1, phase, ns)
    control.set_phase_at(1, Phase.DONE, 700)  # before the last change: it counts as that
    totals = control.totals(1)
    assert totals["data_s"] == pytest.approx(100e-9)
    assert totals["gradient_s"] == pytest.approx(1000e-9)
    assert totals["update_s"] == totals["lock_s"] == 0.0
    assert control.stats(1)["beats"] == 5
    records, after, lost = control.timeline(1, 0)
    assert [(record >> 12, record >> 8 & 15) for record in numbers(records)] == [
        (5, 1), (105, 2), (1105, 3), (1105, 6)
    ]  # fmt: skip
    assert (after, lost) == (4, 0)
    assert control.timeline(1, 4) == (b"", 4, 0)


def test_a_record_after_a_push_has_its_delay():
    control = block(1)
    control.parameters = 16
    control.version = 7
    for phase in (Phase.UPDATE, Phase.DATA):
        control.set_phase_at(0, phase, 10)
        if phase is Phase.UPDATE:
            control.begin_push(0, False)
            control.end_push(0, False, True, 0, 4.5, 1.0)
    assert [record & 255 for record in numbers(control.timeline(0, 0)[0])] == [0, 7]
    assert {k + LEAST_GAP: n for k, n in enumerate(control.gaps(0)) if n} == {-1: 1}, "sqrt(4.5 / 16) is 0.53"


def test_records_that_were_written_over_are_counted():
    control = block(1)
    for k in range(RING + 1000):
        control.set_phase_at(0, Phase.DATA if k % 2 else Phase.GRADIENT, k)
    records, after, lost = control.timeline(0, 300)
    assert after == RING + 1000
    assert lost + len(records) // 8 == after - 300
    assert [record >> 12 for record in numbers(records)] == list(range(1001, after)), "the next one may be half written"


def test_a_reader_beside_a_writer_sees_whole_records_in_order():
    control, seen, lost_in_all = block(1), [], 0
    changes = 60_000

    def write() -> None:
        for k in range(changes):
            control.set_phase_at(0, Phase.DATA if k % 2 else Phase.GRADIENT, k)

    writer, first = threading.Thread(target=write), 0
    writer.start()
    while writer.is_alive() or first < changes:
        records, first, lost = control.timeline(0, first)
        seen += [record >> 12 for record in numbers(records)]
        lost_in_all += lost
    writer.join()
    assert seen == sorted(set(seen))
    assert len(seen) + lost_in_all == changes


def test_a_dead_worker_is_in_no_phase():
    control = block(1)
    control.set_phase(0, Phase.GRADIENT)
    assert control.mark_dead(0, 1.0)
    spent = control.totals(0)["gradient_s"]
    (_, begin), (phase, end) = ((record >> 8 & 15, record >> 12) for record in numbers(control.timeline(0, 0)[0]))
    assert PHASES[phase] == "starting"
    assert spent == pytest.approx((end - begin) * 1e-9, rel=1e-6)
    control.set_phase(0, Phase.DATA)  # in the process that replaces it
    assert control.totals(0)["gradient_s"] == spent


def test_the_wait_for_the_lock_of_the_model_is_a_phase():
    control = block(2)
    control.set_phase(1, Phase.UPDATE)
    control.lock_model(0)
    waiter = threading.Thread(target=control.lock_model, args=(1,))
    waiter.start()
    deadline = time.monotonic() + WAIT_S
    while control.stats(1)["phase"] != Phase.LOCK and time.monotonic() < deadline:
        time.sleep(0.001)
    control.unlock_model()
    waiter.join()
    assert control.totals(1)["lock_s"] > 0
    assert control.stats(1)["phase"] == Phase.UPDATE


# ---- the file -------------------------------------------------------------------------------------------------------


def written(control: Control, path: Path, ranks: int) -> list[int]:
    file, after = TimelineFile(path), []
    blocks = []
    for rank in range(ranks):
        records, next_one, lost = control.timeline(rank, 0)
        blocks.append((rank, records, lost))
        after.append(next_one)
    file.append(blocks)
    return after


def test_tracks_agree_with_the_control_block(tmp_path: Path):
    control = block(3)
    rng, clock = np.random.default_rng(3), 17
    for _ in range(900):
        clock += int(rng.integers(1, 90_000))
        control.set_phase_at(int(rng.integers(3)), Phase.__members__[rng.choice(["DATA", "UPDATE", "LOCK"])], clock)
    written(control, tmp_path / "t", 3)
    for track in read(tmp_path / "t"):
        totals = control.totals(track.worker)
        still = track.phases != PHASES.index("done")
        assert (track.begins[1:] == track.ends[:-1]).all()
        assert still.all()
        for name, seconds in track.seconds().items():
            assert 0.99 * totals[f"{name}_s"] <= seconds <= totals[f"{name}_s"] + 1e-12


def test_lost_records_and_a_second_part_are_told_apart(tmp_path: Path):
    control = block(1)
    for k in range(RING + 5):
        control.set_phase_at(0, Phase.DATA if k % 2 else Phase.GRADIENT, 1000 * k)
    path, (first, _, _) = tmp_path / "t", control.timeline(0, RING)
    file = TimelineFile(path)
    file.append([(0, first[:16], 0)])
    file.append([(0, first[24:], 1)])
    assert file.lost == 1
    TimelineFile(path).append([(0, first[:16], 0)])  # of a run that goes on
    (track,) = read(path)
    assert [PHASES[k] if k < LOST else "lost" for k in track.phases] == [
        "gradient", "data", "lost", "data", "gradient", "starting", "gradient",
    ]  # fmt: skip
    assert (track.ends >= track.begins).all(), "the second part begins before the end of the first"
    path.write_bytes(path.read_bytes()[:-3])  # cut off by a crash
    assert len(read(path)[0].phases) == 5


def test_a_full_file_loses_and_a_strange_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timeline, "LIMIT_BYTES", 100)
    file = TimelineFile(tmp_path / "t")
    file.append([(0, bytes(16), 0)])
    file.append([(0, bytes(80), 0)])
    assert file.lost == 10
    assert (tmp_path / "t").stat().st_size == 8 + 16 + 16 + 16
    assert read(tmp_path / "none") == []
    (tmp_path / "x").write_bytes(b"something else")
    with pytest.raises(DataError, match="is not a timeline: it does not begin as one"):
        read(tmp_path / "x")
