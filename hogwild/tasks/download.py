"""Downloads of published data files. A file is checked before it is used, and appears only when it is complete."""

from __future__ import annotations

import http.client
import os
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from hogwild.errors import DataError
from hogwild.tasks.catalog import File
from hogwild.tasks.content import decode

TIMEOUT_S = 30.0  # for the connection and for each read
_CHUNK_BYTES = 1 << 20


def download(file: File, folder: Path) -> Path:
    """Fetch `file` into `folder` from the first of its URLs that delivers the right bytes.

    The data go to a temporary file in the same folder, which is renamed only after its size and md5 were checked. An
    interrupted or wrong download therefore leaves no file, and concurrent downloads do not disturb each other.
    Errors: DataError with the failure at each URL.
    """
    target = folder / file.name
    failures: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in file.urls:
            descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=folder)
            os.close(descriptor)
            try:
                print(f"downloading {url} -> {target}", file=sys.stderr)
                _fetch(url, Path(temporary), file.limit_bytes)
                decode(Path(temporary).read_bytes(), file, url, packed=file.gzipped)
                os.chmod(temporary, 0o644)
                os.replace(temporary, target)
                return target
            except DataError as error:
                failures.append(str(error))
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                failures.append(f"{url}: {error}")
            finally:
                Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{target}: cannot be downloaded: {error}") from error
    raise DataError(f"{file.name} could not be downloaded: {'; '.join(failures)}. Put the file into {folder} yourself.")


def _fetch(url: str, path: Path, limit_bytes: int) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, path.open("wb") as out:
        received = 0
        while chunk := answer.read(_CHUNK_BYTES):
            received += len(chunk)
            if received > limit_bytes:
                raise DataError(f"{url}: sends more than the expected {limit_bytes:,} bytes")
            out.write(chunk)
