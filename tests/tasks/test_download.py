"""Downloads from a server on this machine."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import threading

import pytest

from hogwild import tasks
from hogwild.errors import DataError
from hogwild.tasks import download as download_module
from hogwild.tasks.catalog import SOURCES, File
from hogwild.tasks.download import download

TEXT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 20


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/cut":  # announces more bytes than it sends
            self.send_response(200)
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(TEXT[:100])
        else:
            super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """(folder that is served, its URL)."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def file_at(*urls: str, limit_bytes: int = 10_000) -> File:
    return File("input.txt", urls, len(TEXT), hashlib.md5(TEXT).hexdigest(), limit_bytes)


def test_a_download_leaves_the_right_file_only(served, tmp_path):
    folder, url = served
    (folder / "input.txt").write_bytes(TEXT)
    path = download(file_at(f"{url}/input.txt"), tmp_path / "new" / "folder")
    assert path.read_bytes() == TEXT
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["input.txt"]


def test_second_url_after_the_first_failed(served, tmp_path):
    folder, url = served
    (folder / "wrong.txt").write_bytes(TEXT[:-1] + b"!")
    (tmp_path / "copy.txt").write_bytes(TEXT)
    urls = (f"{url}/absent", f"{url}/wrong.txt", f"{url}/cut", (tmp_path / "copy.txt").as_uri())
    assert download(file_at(*urls), tmp_path / "out").read_bytes() == TEXT


def test_every_failure_is_named_and_no_file_is_left(served, tmp_path):
    folder, url = served
    (folder / "wrong.txt").write_bytes(TEXT[:-1] + b"!")
    (folder / "huge.txt").write_bytes(TEXT * 100)
    with pytest.raises(DataError) as error:
        download(file_at(f"{url}/absent", f"{url}/wrong.txt", f"{url}/huge.txt", f"{url}/cut"), tmp_path / "out")
    text = str(error.value)
    assert "/absent: HTTP Error 404" in text
    assert "/wrong.txt: md5 of the content is" in text
    assert "/huge.txt: sends more than the expected 10,000 bytes" in text
    assert "/cut: " in text
    assert f"Put the file into {tmp_path / 'out'} yourself." in text
    assert "\n" not in text
    assert not list((tmp_path / "out").iterdir())


def test_server_that_does_not_answer(served, tmp_path, monkeypatch):
    _, url = served
    monkeypatch.setattr(download_module, "TIMEOUT_S", 0.05)
    given_up = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda _: given_up.wait(60))
    with pytest.raises(DataError, match="timed out"):
        download(file_at(f"{url}/slow"), tmp_path / "out")
    given_up.set()


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"input\.txt: cannot be downloaded: .*(exists|Not a directory)"):
        download(file_at("file:///nowhere"), tmp_path / "file")


@pytest.fixture
def shakespeare(served, monkeypatch):
    """The catalogue's tinyshakespeare, 1,220 characters on the local server."""
    folder, url = served
    (folder / "input.txt").write_bytes(TEXT)
    source = dataclasses.replace(SOURCES["tinyshakespeare"], files=(file_at(f"{url}/input.txt"),))
    monkeypatch.setitem(SOURCES, "tinyshakespeare", source)


@pytest.mark.usefixtures("shakespeare")
def test_load_downloads_into_the_cache_unless_forbidden(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="HOGWILD_OFFLINE is set"):
        tasks.load("tinyshakespeare")
    monkeypatch.setenv("HOGWILD_OFFLINE", "0")
    with pytest.raises(DataError, match="downloads are switched off"):
        tasks.load("tinyshakespeare", download=False)
    data = tasks.load("tinyshakespeare")
    assert len(data.train) == (len(TEXT) * 9 // 10 - 1) // 64
    assert (tmp_path / "cache" / "hogwild" / "tinyshakespeare" / "input.txt").is_file()
    monkeypatch.setenv("HOGWILD_OFFLINE", "1")
    assert len(tasks.load("tinyshakespeare").train) == len(data.train)


@pytest.mark.usefixtures("shakespeare")
def test_get_replaces_damaged_files(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "input.txt").write_bytes(TEXT[:100])
    with pytest.raises(DataError, match=r"HOGWILD_OFFLINE is set, nothing is downloaded \(.*100 bytes"):
        tasks.get("tinyshakespeare", tmp_path / "mine")
    monkeypatch.delenv("HOGWILD_OFFLINE")
    assert tasks.get("tinyshakespeare", tmp_path / "mine") == tmp_path / "mine"
    assert (tmp_path / "mine" / "input.txt").read_bytes() == TEXT
    assert tasks.get("digits").name == "assets"
