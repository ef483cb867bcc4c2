"""Tiny hand-made data files, and the folders of the real ones: $HOGWILD_DATA/<name>."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hogwild.tasks.catalog import SOURCES
from hogwild.tasks.locate import is_complete

REAL_DATA = os.environ.get("HOGWILD_DATA")


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No test sees the user's data or cache, or the network."""
    monkeypatch.delenv("HOGWILD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOGWILD_OFFLINE", "1")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small nets are many times slower when two threads share them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def real_folder():
    """name -> the folder with the real files. Skips the test if there is none."""

    def find(name: str) -> Path:
        source = SOURCES[name]
        if REAL_DATA is None:
            pytest.skip("HOGWILD_DATA is not set")
        for folder in (source.name, *source.folders):
            if is_complete(source, Path(REAL_DATA) / folder):
                return Path(REAL_DATA) / folder
        pytest.skip(f"{name} is not in HOGWILD_DATA")

    return find


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def pack(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def tar_bytes(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def image_bytes(pixels: np.ndarray, form: str = "png") -> bytes:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    out = io.BytesIO()
    image.fromarray(pixels).save(out, form)
    return out.getvalue()


class Make:
    """The builders above, as one fixture."""

    idx = staticmethod(idx_bytes)
    gz = staticmethod(pack)
    tar = staticmethod(tar_bytes)
    image = staticmethod(image_bytes)


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make
