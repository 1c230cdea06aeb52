"""Files behind URLs: in the memory of this process, on a local HTTP server, and in buckets of local servers.

S3 and Google Cloud Storage are tested where `moto[server]` and s3fs, or gcp-storage-emulator and gcsfs, are installed.
"""

import contextlib
import http.server
import importlib.util
import pathlib
import re
import threading
from collections.abc import Callable, Iterator

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from seer_tf.errors import InputError
from seer_tf.files import atomic, storage
from seer_tf.files.new_directory import new_directory


class _Server(http.server.SimpleHTTPRequestHandler):
    """A server that always sends the whole file, as the simplest servers do."""

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


class _ServerOfParts(_Server):
    """A server that sends the requested part of a file, as object stores do."""

    def do_GET(self) -> None:
        """Sends the requested part, or the whole file."""
        asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None:
            super().do_GET()
            return
        whole = pathlib.Path(self.translate_path(self.path)).read_bytes()
        first, last = int(asked[1]), min(int(asked[2]), len(whole) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(whole)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(whole[first : last + 1])


@contextlib.contextmanager
def served(directory: pathlib.Path, handler: type[_Server]) -> Iterator[str]:
    """Serves a directory on the local host and yields its URL."""
    if importlib.util.find_spec("aiohttp") is None:  # fsspec's other client needs another package
        from fsspec.implementations import http_sync

        http_sync.register()

    def handle(*arguments: object) -> None:
        handler(*arguments, directory=str(directory))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handle) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def _memory(patch: pytest.MonkeyPatch) -> Iterator[str]:
    yield "memory://remote_test"


@contextlib.contextmanager
def _s3(patch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    patch.delenv("AWS_CA_BUNDLE", raising=False)
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "NO_PROXY": host}.items():
        patch.setenv(name, value)
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    fsspec.filesystem("s3").mkdir("bucket")
    yield "s3://bucket/remote_test"
    server.stop()


@contextlib.contextmanager
def _gs(patch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("gcsfs")
    server = pytest.importorskip("gcp_storage_emulator.server").create_server("127.0.0.1", 0, True, "bucket")
    server.start()
    port = server._api._httpd.server_port
    for name, value in {"GOOGLE_CLOUD_PROJECT": "project", "NO_PROXY": "127.0.0.1"}.items():
        patch.setenv(name, value)
    patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    yield "gs://bucket/remote_test"
    server.stop()


@pytest.fixture(scope="module", params=[_memory, _s3, _gs], ids=["memory", "s3", "gs"])
def root(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a directory."""
    with pytest.MonkeyPatch.context() as patch, request.param(patch) as url:
        yield url


@pytest.mark.parametrize("handler", [_Server, _ServerOfParts])
def test_a_file_on_a_server_is_read_whole_and_in_parts(tmp_path: pathlib.Path, handler: type[_Server]) -> None:
    (tmp_path / "file").write_bytes(bytes(range(200)))
    with served(tmp_path, handler) as url:
        file = f"{url}/file"
        assert storage.exists(file) and not storage.exists(f"{url}/other") and not storage.is_directory(url)
        assert storage.size(file) == 200 and storage.read(file) == bytes(range(200))
        assert storage.read(file, 20, 3) == bytes([20, 21, 22]) and storage.read(file, num_bytes=2) == bytes([0, 1])
        assert storage.read(file, 7, 0) == b""
        with pytest.raises(FileNotFoundError) as caught:
            storage.read(f"{url}/other")
        assert (caught.value.filename, caught.value.strerror) == (f"{url}/other", "there is no such file or directory")
        with pytest.raises(OSError, match=re.escape(file)):
            storage.write(file, b"a server that only reads")


def test_a_directory_behind_a_url_is_listed_and_removed(root: str) -> None:
    root = f"{root}/listed"
    for name in ("b/2", "a/1", "c"):
        storage.write(f"{root}/{name}", name.encode())
    assert storage.names(root) == ["a", "b", "c"] and storage.is_directory(f"{root}/a")
    assert storage.names(f"{root}/nowhere") == []
    assert storage.sizes(root)["c"] == 1 and storage.sizes(f"{root}/a") == {"1": 3}
    assert sorted(storage.walk(root)) == [f"{root}/a/1", f"{root}/b/2", f"{root}/c"]
    assert [found.rpartition("/")[2] for found in storage.matches(f"{root}/*/[12]")] == ["1", "2"]
    assert [storage.read(found) for found in storage.matches(f"{root}/*/[12]")] == [b"a/1", b"b/2"]
    assert storage.read(f"{root}/b/2", 1, 9) == b"/2" and storage.size(f"{root}/b/2") == 3
    with storage.file_to_read(f"{root}/b/2") as file:
        assert file.seek(2) == 2 and file.read() == b"2"
    storage.remove(f"{root}/c")
    assert not storage.exists(f"{root}/c")
    with pytest.raises(FileNotFoundError, match="there is no such file or directory"):
        storage.read(f"{root}/c")


def test_a_file_appears_only_with_its_whole_content(root: str) -> None:
    url = f"{root}/file"
    with pytest.raises(RuntimeError), storage.atomic_file(url) as path:
        pathlib.Path(path).write_text("half")
        raise RuntimeError
    assert not storage.exists(url)
    with storage.atomic_file(url) as path:
        pathlib.Path(path).write_text("whole")
        assert not storage.exists(url)
    assert storage.read(url) == b"whole"


def test_a_new_directory_by_url(root: str) -> None:
    url = f"{root}/new"
    with pytest.raises(RuntimeError), new_directory(url) as directory:
        (directory / "file").write_text("content")
        raise RuntimeError
    assert not storage.exists(url)
    with new_directory(url) as directory:
        (directory / "below").mkdir()
        (directory / "below" / "file").write_text("content")
        assert not storage.exists(url)
    assert storage.read(f"{url}/below/file") == b"content" and storage.names(url) == ["below"]
    with pytest.raises(InputError, match="new exists already"), new_directory(url):
        pass


def test_a_copy_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    url, write = "memory://remote_test/full", MemoryFileSystem.put_file

    def fails_at_two(self: MemoryFileSystem, file: str, path: str, **options: object) -> None:
        if path.endswith("two"):
            raise RuntimeError("no space")
        write(self, file, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", fails_at_two)
    with pytest.raises(InputError, match="full cannot be written .no space"), new_directory(url) as directory:
        for name in ("one", "two"):
            (directory / name).write_text("content")
    assert not storage.exists(url)


def test_a_url_that_cannot_be_opened_gets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nosuch://x cannot be opened .*correct the URL.*seer_tf\[remote\]"):
        storage.exists("nosuch://x")

    def refuses(*_: object, **__: object) -> None:
        raise PermissionError("no credentials")

    monkeypatch.setattr(MemoryFileSystem, "exists", refuses)
    with pytest.raises(InputError, match="memory://x cannot be reached .no credentials.; check the network"):
        storage.exists("memory://x")


@pytest.mark.parametrize("path", ["folder:gs://bucket", "/tmp/x://y", "x:/y", "list.txt"])
def test_only_text_that_starts_like_a_url_is_a_url(path: str) -> None:
    assert storage.is_remote("s3://bucket/a") and not storage.is_remote(path)


@pytest.mark.parametrize("check", [atomic.check_file, atomic.check_directory])
def test_what_is_written_on_this_machine_only_says_so(check: Callable[[str], None]) -> None:
    with pytest.raises(InputError, match="s3://bucket/x is a URL; name a place on this machine"):
        check("s3://bucket/x")
