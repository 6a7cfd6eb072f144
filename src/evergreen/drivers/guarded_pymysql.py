"""PyMySQL with the guarantees that mysqlclient gives, in the form of a DBAPI module.

PyMySQL 1.1 leaves some of them out: it goes on in clear, password and all, where TLS is required and the
server says that it has none; it lets a server that accepts a connection and says nothing take as long as a
statement may; it encodes passwords in Latin-1; and it raises errors that are not a driver's where a server
asks for a file, or where another program listens. A few names here are private to PyMySQL; where one is
missing, this module is not imported.
"""

from __future__ import annotations

import ssl
import struct
from types import ModuleType
from typing import Any

import pymysql
from pymysql.charset import charset_by_name
from pymysql.connections import Connection
from pymysql.constants import CLIENT
from pymysql.err import InternalError, OperationalError

from evergreen.drivers.tls import DISABLED, MODES, PREFERRED, build_tls_context, choose_tls_mode

# Numbers of the client library's errors: https://mariadb.com/kb/en/mariadb-error-codes/
_UNKNOWN_ERROR = 2000
_SERVER_LOST = 2013
_TLS_ERROR = 2026
_NO_SUCH_PLUGIN = 2059

for _name in ("_request_authentication", "_force_close"):
    if not hasattr(Connection, _name):
        raise ImportError(f"this PyMySQL has no Connection.{_name}, which Evergreen guards", name="pymysql")


class GuardedConnection(Connection):
    """A connection of PyMySQL that takes mysqlclient's `ssl_mode`, too; `ssl` is a mapping of paths.

    Where TLS is asked for, the server gets no answer before it has proven what the mode asks of it, except
    for the mode PREFERRED. `connect_timeout` (seconds) bounds each wait until the session is set up, and
    `read_timeout` and `write_timeout` those afterwards. Raises OperationalError as mysqlclient does: 2026
    where TLS does not come about, 2000 where the server asks for a file that is not to be sent, 2013 where
    what answers is no such server.
    """

    server_capabilities: int
    _read_timeout: float | None
    _write_timeout: float | None
    _result: Any

    def __init__(
        self,
        *,
        password: str | bytes | None = None,
        ssl: Any = None,
        ssl_mode: str | None = None,
        ssl_verify_cert: bool | str | None = None,
        ssl_verify_identity: bool | str | None = None,
        ssl_disabled: bool | str | None = None,
        **options: Any,
    ) -> None:
        files = dict(ssl or {})
        for name in ("ca", "cert", "key", "key_password"):
            if (value := options.pop(f"ssl_{name}", None)) is not None:
                files[name] = value
        mode = choose_tls_mode(ssl_mode, ssl_disabled, ssl_verify_cert, ssl_verify_identity, files)
        self._tls_is_optional = mode == PREFERRED
        # PyMySQL itself encodes texts in Latin-1, which not every password fits.
        secret = password.encode() if isinstance(password, str) else password
        super().__init__(password=secret or b"", ssl=_build_context(mode, files), **options)

    def connect(self, sock: Any = None) -> None:
        """Connect, log in and set up the session."""
        answer_seconds = self._read_timeout, self._write_timeout
        self._read_timeout = self._write_timeout = self.connect_timeout
        try:
            super().connect(sock)
        except OperationalError as error:
            if isinstance(getattr(error, "original_exception", None), ssl.SSLError):
                raise OperationalError(_TLS_ERROR, error.args[-1]) from error
            raise
        except (InternalError, struct.error, IndexError, AssertionError, UnicodeDecodeError) as error:
            raise OperationalError(
                _SERVER_LOST, f"what answers does not speak the protocol of MariaDB: {error}"
            ) from error
        finally:
            self._read_timeout, self._write_timeout = answer_seconds

    def close(self) -> None:
        """Close the connection, also before all rows of a stream are read."""
        if self._result is not None:
            # Else it would read the others when it is deleted, and there is no connection any more.
            self._result.unbuffered_active = False
        super().close()

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Set the session's character set; PyMySQL's own takes any answer for a good one."""
        self.query(f"SET NAMES {charset}" + (f" COLLATE {collation}" if collation else ""))
        self.charset, self.collation = charset, collation
        self.encoding = charset_by_name(charset).encoding

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        """Run a statement; how many rows it affected."""
        try:
            return super().query(sql, unbuffered)
        except RuntimeError as error:
            # The server waits for the file, and would take what comes next for it.
            self._force_close()  # type: ignore[attr-defined]
            raise OperationalError(
                _UNKNOWN_ERROR, "the server asked for a file (LOAD DATA LOCAL INFILE), which is not sent"
            ) from error

    def escape(self, obj: Any, mapping: Any = None) -> str:
        """A value as it stands in a statement; one of an unknown type, such as NumPy's numbers, as its text,
        as mysqlclient has it."""
        if mapping is not None and type(obj) not in mapping and not isinstance(obj, (str, bytes, bytearray)):
            obj = str(obj)
        return str(super().escape(obj, mapping))

    def escape_string(self, s: str) -> str:
        """A text as it stands between quotes. Raises UnicodeEncodeError for half a surrogate pair, which
        PyMySQL may send as a byte that is no text."""
        if not s.isascii():
            s.encode()
        return str(super().escape_string(s))  # type: ignore[misc]

    def _request_authentication(self) -> None:
        if self.ssl and not self._tls_is_optional and not self.server_capabilities & CLIENT.SSL:
            raise OperationalError(_TLS_ERROR, "TLS is required, and the server has none")
        try:
            super()._request_authentication()  # type: ignore[misc]
        except RuntimeError as error:
            # A kind of log-in for which PyMySQL needs another package.
            raise OperationalError(_NO_SUCH_PLUGIN, str(error)) from error


def _build_context(mode: str, options: dict[str, str]) -> ssl.SSLContext | None:
    if mode not in MODES:
        raise OperationalError(_TLS_ERROR, f"ssl_mode is {mode!r}, and may be one of {', '.join(MODES)}")
    if mode == DISABLED:
        return None
    try:
        return build_tls_context(mode, options)
    except OSError as error:
        place = options.get("ca") or options.get("capath") or options.get("cert") or "the system"
        raise OperationalError(_TLS_ERROR, f"the certificates of {place} cannot be used: {error}") from error


def _build_module() -> ModuleType:
    # Under PyMySQL's own name: SQLAlchemy looks for the flags of the protocol in the package of that name.
    module = ModuleType(pymysql.__name__)
    module.__dict__.update(vars(pymysql))
    module.connect = module.Connection = GuardedConnection  # type: ignore[attr-defined]
    return module


GUARDED_PYMYSQL = _build_module()
