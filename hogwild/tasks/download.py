"""Downloads of published data files. A file is checked before it is used, and appears only when it is complete."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from hogwild.errors import DataError
from hogwild.files.writing import replacing
from hogwild.tasks.catalog import File
from hogwild.tasks.content import decode
from hogwild.text import say

TIMEOUT_S = 30.0  # for the connection and for each read


def download(file: File, folder: Path) -> Path:
    """Fetch `file` into `folder` from the first of its URLs that delivers the right bytes.

    It is written only after its size and digest were checked, and then whole. An interrupted or wrong download
    therefore leaves no file, and concurrent downloads do not disturb each other.
    Errors: DataError with the failure at each URL.
    """
    target = folder / file.name
    failures: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in file.urls:
            try:
                say(f"downloading {url} -> {target}", to_stderr=True)
                content = _fetch(url, file.limit_bytes)
                decode(content, file, url, packed=file.gzipped)
                with replacing(target) as out:
                    out.write(content)
                return target
            except DataError as error:
                failures.append(str(error))
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                failures.append(f"{url}: {error}")
    except OSError as error:
        raise DataError(f"{target}: cannot be downloaded: {error}") from error
    raise DataError(f"{file.name} could not be downloaded: {'; '.join(failures)}. Put the file into {folder} yourself.")


def _fetch(url: str, limit_bytes: int) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        content: bytes = answer.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise DataError(f"{url}: sends more than the expected {limit_bytes:,} bytes")
    return content
