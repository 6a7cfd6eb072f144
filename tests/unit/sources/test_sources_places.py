"""Which files a place means, local and remote, and what of them is kept."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.server
import logging
import lzma
import os
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from evergreen.errors import SettingsError, SourceUnreachable, SourceUnreadable
from evergreen.hiding import hide_secrets
from evergreen.settings import Settings
from evergreen.sources.files.places import find_files
from evergreen.sources.read import SourceInput, open_source, read_source
from evergreen.usecase import TIMELESS, FileSource

CONTENT = b"a,b\n1,2\n"


def opened(place: str | Path, home: Path, **declared: str) -> list[SourceInput]:
    settings = Settings(home=home, sources={})
    source = FileSource(str(place), **declared)  # type: ignore[arg-type]
    return open_source(source, settings, "toy", start=TIMELESS, end=TIMELESS)


def values(inputs: list[SourceInput]) -> list[list[str]]:
    return [batch.column("a").to_pylist() for given in inputs for batch in given.batches() if batch.num_rows]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for name in ("b", "a", ".hidden"):
        (tmp_path / f"{name}.csv").write_text(f"a,b\n{name},1\n")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "empty.csv").write_text("a,b\n")
    return tmp_path


def test_a_glob_names_its_files_sorted_without_hidden_ones_and_folders(many: Path) -> None:
    found = opened(many / "*.csv", many)
    assert [Path(given.name).name for given in found] == ["a.csv", "b.csv", "empty.csv"]
    assert values(found) == [["a"], ["b"]]
    with pytest.raises(SourceUnreachable, match="no file matches"):
        find_files(str(many / "*.tsv"))


def test_of_several_files_one_may_have_no_rows_and_a_single_one_not(many: Path) -> None:
    (batch,) = opened(many / "*.csv", many)[-1].batches(numbered=True)
    assert (batch.num_rows, batch.column_names) == (0, ["a", "b", "#"])
    with pytest.raises(SourceUnreadable, match="no rows"):
        list(opened(many / "empty.csv", many)[0].batches())


def test_a_file_whose_name_holds_the_signs_of_a_pattern_is_itself(tmp_path: Path) -> None:
    (tmp_path / "day[1].csv").write_bytes(CONTENT)
    assert values(opened(tmp_path / "day[1].csv", tmp_path)) == [["1"]]


def test_rows_are_numbered_within_each_file(many: Path) -> None:
    settings = Settings(home=many, sources={})
    (many / "b.csv").write_text("a,#\nx,7\ny,8\n")
    source = FileSource(str(many / "[ab].csv"))
    frame = read_source(source, settings, "toy", start=TIMELESS, end=TIMELESS, numbered=True)
    assert frame[["a", "#"]].to_numpy().tolist() == [["a", 1], ["x", 1], ["y", 2]]


def test_the_digest_and_size_are_those_of_the_bytes_as_they_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(CONTENT))
    (found,) = opened(path, tmp_path)
    stored = path.read_bytes()
    assert found.digest == hashlib.sha256(stored).hexdigest()
    assert (found.size, found.name) == (len(stored), str(path))
    assert values([found]) == [["1"]]


@pytest.mark.parametrize("declared", ["infer", "none", "gzip"])
def test_a_declared_compression_is_not_guessed(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(gzip.compress(CONTENT))
    if declared == "none":
        with pytest.raises(SourceUnreadable, match="not text"):
            values(opened(path, tmp_path, compression=declared))
    else:
        assert values(opened(path, tmp_path, compression=declared)) == [["1"]]
    path.write_bytes(CONTENT)
    if declared == "gzip":
        with pytest.raises(SourceUnreadable, match="not sound gzip data"):
            values(opened(path, tmp_path, compression=declared))
    with pytest.raises(SettingsError, match="rar"):
        values(opened(path, tmp_path, compression="rar"))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_what_is_cut_off_anywhere_is_refused(tmp_path: Path, compress: object) -> None:
    whole = compress(CONTENT * 50)  # type: ignore[operator]
    path = tmp_path / "rows.csv"
    for length in range(6, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(SourceUnreadable):
            values(opened(path, tmp_path))


def test_no_such_file_a_folder_and_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match=r"there is no file .*nowhere\.csv"):
        find_files(str(tmp_path / "nowhere.csv"))
    with pytest.raises(SourceUnreadable, match="is a folder") as raised:
        find_files(str(tmp_path))
    assert "*.csv" in raised.value.hint
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceUnreadable, match="is not a file"):
        find_files(str(tmp_path / "pipe"))


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "rows.csv").write_bytes(CONTENT)
    # Root may read any file, so the refusal is forced.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceUnreadable, match="Permission denied"):
        find_files(str(tmp_path / "rows.csv"))


def test_a_file_that_changes_after_its_digest_was_taken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(CONTENT)
    found = opened(path, tmp_path)
    path.write_bytes(CONTENT + b"3,4\n")
    with pytest.raises(SourceUnreadable, match="changed while it was read"):
        values(found)


def test_files_of_any_file_system_that_fsspec_knows(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/landing/2.csv": CONTENT.replace(b"1", b"2"), "/landing/1.csv": CONTENT})
    try:
        found = opened("memory://landing/*.csv", tmp_path)
        assert [given.name for given in found] == ["memory:///landing/1.csv", "memory:///landing/2.csv"]
        assert found[0].digest == hashlib.sha256(CONTENT).hexdigest()
        assert values(found) == [["1"], ["2"]]
        assert values(found[::-1]) == [["2"], ["1"]]  # each again, in any order
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(SourceUnreachable, match="there is no file memory://landing/3"):
            opened("memory://landing/3.csv", tmp_path)
        with pytest.raises(SourceUnreachable, match="no file matches"):
            opened("memory://landing/*.tsv", tmp_path)
        with pytest.raises(SourceUnreadable, match="is a folder"):
            opened("memory://landing", tmp_path)
    finally:
        memory.rm("/landing", recursive=True)
    with pytest.raises(SettingsError, match="unknown kind"):
        opened("carrier://pigeon", tmp_path)


def test_a_parquet_file_is_read_from_where_it_was_brought(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "rows.parquet")
    memory = fsspec.filesystem("memory")
    memory.pipe("/rows.parquet", (tmp_path / "rows.parquet").read_bytes())
    try:
        assert values(opened("memory://rows.parquet", tmp_path)) == [[1, 2]]
    finally:
        memory.rm("/rows.parquet")


def test_a_local_url_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "the rows.csv").write_bytes(CONTENT)
    (found,) = opened(f"file://{tmp_path}/the rows.csv", tmp_path)
    assert (found.name, values([found])) == (str(tmp_path / "the rows.csv"), [["1"]])


@pytest.fixture
def server() -> Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/moved.csv":
                self.send_response(302)
                self.send_header("Location", "/rows.csv")
                self.end_headers()
                return
            self.send_response(200 if path in ("/rows.csv", "/cut.csv") else 404)
            self.send_header("Content-Length", str(len(CONTENT) + (path == "/cut.csv")))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_file_over_http(server: str, tmp_path: Path) -> None:
    assert values(opened(f"{server}/rows.csv", tmp_path)) == [["1"]]
    assert values(opened(f"{server}/moved.csv?page=1", tmp_path)) == [["1"]]
    with pytest.raises(SourceUnreachable, match="404"):
        opened(f"{server}/other.csv", tmp_path)
    with pytest.raises(SourceUnreachable, match="cannot be downloaded"):
        opened(f"{server}/cut.csv", tmp_path)
    with pytest.raises(SourceUnreachable):
        opened("http://127.0.0.1:1/rows.csv", tmp_path)


def test_a_secret_in_a_url_is_never_shown(server: str, tmp_path: Path) -> None:
    with_password = server.replace("http://", "http://me:SECRET@")
    address = f"{with_password}/rows.csv?X-Amz-Signature=SECRET&part=2&token=SECRET"
    (found,) = opened(address, tmp_path)
    assert found.name == hide_secrets(address)
    assert "SECRET" not in found.name
    assert found.name.endswith("/rows.csv?X-Amz-Signature=***&part=2&token=***")
    with pytest.raises(SourceUnreachable) as raised:
        opened(address.replace("rows", "other"), tmp_path)
    assert "SECRET" not in "".join(traceback.format_exception(raised.value))


def test_no_client_logs_a_secret_of_a_url(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    opened(f"{server}/rows.csv?year=2024&sig=SECRET", tmp_path)
    assert "year=2024" in caplog.text  # the client does log
    assert "SECRET" not in caplog.text


def test_a_file_system_that_fails_tells_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "memory://rows.csv?token=SECRET"

    def refuse(self: object, path: str, *args: object, **kwargs: object) -> None:
        raise OSError(f"403 for {address}")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "open", refuse)
    with pytest.raises(SourceUnreachable, match="403") as raised:
        opened(address, tmp_path)
    assert "SECRET" not in "".join(traceback.format_exception(raised.value))
