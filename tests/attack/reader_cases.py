"""One function per reader of files or texts: makes a damaged input in the current directory and reads it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from data_cases import cifar, gzip_bomb, idx_file, image, image_archive, libsvm_file, npz, ratings_file, words_file
from mutation import Planted, altered, damaged, word, write
from shown_cases import lines, shown

from hogwild import delays, system
from hogwild.cli import flags
from hogwild.config import FIELDS, Config, read_yaml
from hogwild.drivers import comparison
from hogwild.drivers.checkpoints import store
from hogwild.drivers.checkpoints.compatibility import require_same_run
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments import recording
from hogwild.drivers.simulated import clocks
from hogwild.report import tracks
from hogwild.reproduce.study import Study
from hogwild.runs import timeline
from hogwild.runs.directory import RunDirectory
from hogwild.tasks.sharding import is_shard
from hogwild.topology import mixing

Random = random.Random
NESTED = [
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[[[[[",
    b"{",
    b"1" * 5000,
    b'"' + b"x" * 2_000_000 + b'"',
    b"NaN",
    b"\xff\xfe",
    b"",
]


def rows_of(r: Random, rows: list[dict[str, Any]]) -> bytes:
    """The rows as JSON lines, damaged as a tree or as bytes."""
    choice = r.random()
    if choice < 0.1:
        return r.choice(NESTED) + b"\n"
    return lines([altered(r, row) for row in rows]) if choice < 0.5 else damaged(r, lines(rows))


# --- configuration

BOMB = "a: &a [xxxxxxxxx]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
TAGS = [
    "!!python/object/apply:os.mkdir ['executed']", "!!python/name:os.system", "!!binary aGk=", "!!set {a, b}",
    "2026-01-01", "1:30:00", "*nobody", "&a [*a]", "<<: *a", "[" * 2000, '"\\ud800"', "!!int 0x" + "f" * 300,
    ".nan", "~", "\t",
]  # fmt: skip


def yaml(r: Random) -> None:
    options = [*FIELDS, *flags.algorithm_options()]
    texts = [f"{r.choice(options)}: {r.choice([*TAGS, word(r, ['1', 'digits', 'easgd'])])}\n" for _ in range(3)]
    content = r.choice([
        "".join(texts).encode("utf-8", "surrogatepass"), BOMB.encode(), damaged(r, Config().yaml().encode()),
        BOMB.replace("j:", "straggler:").encode(), b"x" * 200_000,
    ])  # fmt: skip
    Config.from_values(read_yaml(write("c.yaml", content)))


def options(r: Random) -> None:
    names = r.sample([*FIELDS, *flags.algorithm_options()], r.randint(1, 3))
    values = altered(r, {name: word(r, ["1", "0.5", "easgd", "label", "0:4", "ring"]) for name in names})
    if isinstance(values, dict):
        Config.from_values(values)


def run_directory(r: Random) -> None:
    shutil.rmtree("rd", ignore_errors=True)
    write("rd/config.yaml", Config().yaml().encode())
    write("rd/env.json", b'{"hogwild": "0.1.0"}')
    write("rd/metrics.jsonl", lines([{"kind": "eval", "time": 1.5}]) + b'{"kind":')
    write("rd/summary.json", b'{"exit_reason": "interrupted", "delay_histogram": {"0": 3}}')
    victim = Path("rd", r.choice(["config.yaml", "env.json", "metrics.jsonl", "summary.json"]))
    victim.write_bytes(r.choice([*NESTED, *(damaged(r, victim.read_bytes()) for _ in range(30))]))
    run = RunDirectory.resume(flags.parse(["--resume", "rd", "--epochs", "30"]))
    run.read_summary()
    run.close()


def phases(r: Random) -> None:
    Path("timeline.bin").unlink(missing_ok=True)
    changes = [struct.pack("<Q", k * 10**9 << 12 | (k % 3 + 1) << 8 | 2) for k in range(9)]
    timeline.TimelineFile(Path("timeline.bin")).append([(0, b"".join(changes), 0), (1, b"".join(changes[3:]), 2)])
    Path("timeline.bin").write_bytes(damaged(r, Path("timeline.bin").read_bytes()))
    found = timeline.read(Path("timeline.bin"))
    if any((track.ends > track.begins).any() for track in found):
        tracks.draw(found[:9], [], "seconds")


# --- tables and texts


def trace(r: Random) -> None:
    rows = [{"version": i, "place": 0, "worker": i % 3, "ticket": i, "delay": 0} for i in range(5)]
    if r.random() < 0.6:
        turns = [{"turn": i, "kind": "gradient", **row} for i, row in enumerate(rows)]
        rows = [recording.head(Config(workers=3), lost=False, resumed=False), *turns]
    clocks.parse(f"trace:{write('t.jsonl', rows_of(r, rows))}", 3, 0, {})


def schedule(r: Random) -> None:
    rows = [{"turn": i, "kind": "gradient", "worker": 1, "ticket": i} for i in range(5)]
    write("w/1.schedule", rows_of(r, rows))
    recording.merge(Path("w"), Path("schedule.jsonl"), {"kind": "schedule"})


def results(r: Random) -> None:
    rows = [{"key": ["asgd", 4, "gamma", i], "score": 0.5} for i in range(3)]
    write("results.jsonl", rows_of(r, rows))
    comparison.read(Path())


def study(r: Random) -> None:
    write("study/results.jsonl", rows_of(r, [{"key": "a.b {}", "result": 1.5}]))
    Study("small", 0, Path("study"))


def histogram(r: Random) -> None:
    suffix, good = r.choice([
        (".csv", b"delay,count\n0,10\n1,20\n"), (".json", b'{"0": 10, "1": 20}'), (".json", b"[1, 2, 3]"),
        (".jsonl", b'{"kind":"eval","delay_histogram":{"0":3,"1":4}}\n'),
    ])  # fmt: skip
    bombs = [
        b'{"999999999": 1}',
        b'{"0": 1e308, "1": 1e308}',
        b'{"delay_histogram": [[1]]}',
        b"[NaN]",
        b"9" * 5000 + b",1\n",
    ]
    delays.parse(f"hist:{write('h' + suffix, r.choice([*NESTED, *bombs, *(damaged(r, good) for _ in range(30))]))}")


def topology(r: Random) -> None:
    good = r.choice([b"0 1\n1 2\n2 0\n", b".5 .5 0\n.5 0 .5\n0 .5 .5\n"])
    name = r.choice(
        [f"file:{write('topology', damaged(r, good))}"] * 3 + [word(r, ["torus:2x3", "base-3", "ring", "file:/"])]
    )
    mixing(name, r.choice([2, 3, 4, 3, 10**6]))


def clock(r: Random) -> None:
    kind = r.choice(["gamma", "round-robin", "random", "uniform", "normal", "geometric", "const"])
    value = word(r, ["cv=0.1", "het=nan", "1", "8", "burst=0.1x10", "1:8"])
    found = clocks.parse(f"{kind}:{value}", 3, 0, {})
    if isinstance(found, clocks.TimedClock):
        assert all(0 < found.duration(rank) < float("inf") for rank in range(3)), value
    elif isinstance(found, clocks.DelayClock):
        found.delay()


def shard_and_cores(r: Random) -> None:
    is_shard(word(r, ["dirichlet:1", "label"]))
    with contextlib.suppress(ValueError):
        system.parse_cores(word(r, ["0,2,4-7", "0-99999999999", "0-65535,0-65535"]))


# --- checkpoints

STATE = {
    "parameters": {"w": torch.ones(3)}, "buffers": {"v": [torch.ones(3)]}, "module_buffers": [], "next": 3,
    "again": [], "version": 3, "lr_max": 0.1, "steps": [1], "gathered": 0, "completed": [3],
}  # fmt: skip
META = {"model": {"w": [3]}, "algorithm": "asgd", "dtype": "float32", "data": "digits", "workers": 2, "samples": 96}


def checkpoint() -> Path:
    shutil.rmtree("ckpt", ignore_errors=True)
    return store.save(Path("ckpt"), 3, STATE, META)


def load() -> None:
    store.meta(Path("ckpt"), "last")
    found = store.load(Path("ckpt"))
    require_same_run(META, found.meta, "x")
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(torch.zeros(3))
    State.from_plain(found.state).load_module(module)


def manifest(r: Random) -> None:
    path = checkpoint() / store.MANIFEST
    good = path.read_bytes()
    tree = json.dumps(altered(r, json.loads(good))).encode("utf-8", "surrogatepass")
    path.write_bytes(r.choice([tree] * 5 + [damaged(r, good)] * 3 + [r.choice(NESTED)]))
    load()


def state(r: Random) -> None:
    """With the right digest in the manifest, as a forger would write it."""
    path = checkpoint()
    file, choice = path / store.STATE, r.random()
    if choice < 0.4:
        file.write_bytes(damaged(r, file.read_bytes()))
    elif choice < 0.5:
        file.write_bytes(pickle.dumps({"parameters": Planted()}))
    elif choice < 0.55:
        torch.save({**STATE, "parameters": Planted()}, file)
    elif choice < 0.65:  # 512 MiB of zeros in a small file
        with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data/9", bytes(1 << 22))
    else:
        wrong = [
            torch.ones(2),
            torch.ones(()),
            torch.zeros(1).expand(1 << 40),
            torch.eye(3).to_sparse(),
            "x",
            None,
            [1],
            {},
            1 << 80,
        ]
        changed = {**STATE, r.choice(list(STATE)): r.choice(wrong)}
        if r.random() < 0.5:
            changed = {**STATE, "parameters": {r.choice(["w", "\x1b[2J"]): r.choice(wrong)}}
        torch.save(r.choice([changed, changed, [1], torch.ones(3)]), file)
    facts = json.loads((path / store.MANIFEST).read_text())
    content = file.read_bytes()
    facts["files"][store.STATE] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / store.MANIFEST).write_text(json.dumps(facts))
    load()


READERS: dict[str, Callable[[Random], None]] = {
    function.__name__: function
    for function in (
        yaml, options, run_directory, phases, shown, trace, schedule, results, study, histogram, topology, clock,
        shard_and_cores, idx_file, gzip_bomb, libsvm_file, ratings_file, words_file, cifar, image, image_archive, npz,
        manifest, state,
    )
}  # fmt: skip
