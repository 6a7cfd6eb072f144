"""CSV and Parquet files, sound and broken: each fault gives one message with what, where, what next."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from evergreen.errors import EvergreenError, SettingsError, SourceUnreachable, SourceUnreadable
from evergreen.sources.files import read_file


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def build(content: bytes | str, name: str = "rows.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return build


def test_every_csv_value_is_text_or_missing(write: Callable[..., str]) -> None:
    frame = read_file(write('a,b,c\n1,2.50,NA\n007,,"x, ""y""\nz"\n'))
    assert frame["a"].tolist() == ["1", "007"]
    assert frame["b"].isna().tolist() == [False, True]
    assert frame["b"][0] == "2.50"
    assert frame["c"].tolist() == ["NA", 'x, "y"\nz']


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("\ufeffname,n\nübel,1\n".encode(), {}),
        ("name,n\nübel,1\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("name,n\nübel,1\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("name;n\r\nübel;1\r\n".encode(), {"delimiter": ";"}),
    ],
)
def test_encodings_and_delimiters(write: Callable[..., str], content: bytes, options: dict[str, str]) -> None:
    assert read_file(write(content), **options).to_dict("records") == [{"name": "übel", "n": "1"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty"]),
        (b"  \n\n", ["is empty"]),
        (b"a,b\n", ["no rows"]),
        (b"a,b\n1,2\n3\n4,5,6\n", ["row 3 has 1 fields instead of 2", "2 such rows"]),
        ("a,b\n1,x\n2,übel\n".encode("latin-1"), ["is not utf-8", "line 3", "0xfc"]),
        ("a,b\n1,2\n".encode("utf-16"), ["is utf-16, not utf-8"]),
        (b"a;b\n1;2\n", ["no ','", "delimiter=';'"]),
        (b"a,a\n1,2\n", ["column 'a' more than once"]),
        (b'a,b\n1,"x\n2,y\n', ["a quote opens in row 2"]),
        (b"a,b\n1,\x00\n", ["is not text", "line 2"]),
    ],
)
def test_broken_content_says_what_and_where(
    write: Callable[..., str], content: bytes, words: list[str]
) -> None:
    place = write(content)
    with pytest.raises(SourceUnreadable) as raised:
        read_file(place)
    assert place in raised.value.message
    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert raised.value.hint


def test_a_stray_quote_inside_a_field_is_no_fault(write: Callable[..., str]) -> None:
    assert read_file(write('a,b\n5" pipe,2\n6,7\n'))["a"].tolist() == ['5" pipe', "6"]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    given = pd.DataFrame({"n": [1, 2], "t": pd.to_datetime(["2026-01-01", "2026-01-02"])})
    given.to_parquet(path)
    pd.testing.assert_frame_equal(read_file(str(path)), given)


@pytest.mark.parametrize("content", [b"PAR1 and then nothing", b"a,b\n1,2\n"])
def test_a_file_that_is_not_the_parquet_it_says(write: Callable[..., str], content: bytes) -> None:
    with pytest.raises(SourceUnreadable, match="not a sound Parquet file"):
        read_file(write(content, "rows.parquet"))


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match=r"there is no file .*nowhere\.csv"):
        read_file(str(tmp_path / "nowhere.csv"))
    with pytest.raises(SourceUnreadable, match="is a folder"):
        read_file(str(tmp_path))


def test_a_file_that_may_not_be_read(write: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    place = write("a\n1\n")
    # Root may read any file, so the refusal is forced.
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SourceUnreadable, match="Permission denied"):
        read_file(place)


def test_an_unknown_encoding_is_a_wrong_declaration(write: Callable[..., str]) -> None:
    with pytest.raises(SettingsError, match="klingon"):
        read_file(write("a\n1\n"), encoding="klingon")


def test_a_file_over_http(tmp_path: Path) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/rows.csv"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b"a,b\n1,2\n" if found else b"")

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert read_file(f"{base}/rows.csv").to_dict("records") == [{"a": "1", "b": "2"}]
        with pytest.raises(SourceUnreachable, match="404"):
            read_file(f"{base}/other.csv")
        server.shutdown()
    with pytest.raises(SourceUnreachable):
        read_file(f"{base}/rows.csv")


def test_every_fault_carries_the_source_exit_code(tmp_path: Path) -> None:
    with pytest.raises(EvergreenError) as raised:
        read_file(str(tmp_path))
    assert raised.value.exit_code == 3
