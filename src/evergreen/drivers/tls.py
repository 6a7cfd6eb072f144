"""TLS for PyMySQL, by the options that mysqlclient takes."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

# By mysqlclient's `ssl_mode`: whether the certificate is verified, and whether its name is.
_VERIFICATIONS = {
    "PREFERRED": (False, False),
    "REQUIRED": (False, False),
    "VERIFY_CA": (True, False),
    "VERIFY_IDENTITY": (True, True),
}
DISABLED = "DISABLED"
PREFERRED = "PREFERRED"
MODES = (DISABLED, *_VERIFICATIONS)
_FALSE = {"", "0", "false", "no", "none", "off"}


def choose_tls_mode(
    ssl_mode: str | None,
    disabled: object,
    verify_cert: object,
    verify_identity: object,
    files: Mapping[str, object],
) -> str:
    """The one mode of what a URL says in mysqlclient's words (`ssl_mode`) or in PyMySQL's.

    `files` are the paths of `build_tls_context`, and may have `check_hostname`. Where an authority is named
    and no more is said, everything is verified.
    """
    if _is_true(disabled):
        return DISABLED
    if ssl_mode is not None:
        return ssl_mode.upper()
    if _is_true(verify_identity):
        return "VERIFY_IDENTITY"
    if _is_true(verify_cert):
        return "VERIFY_CA"
    if verify_cert is not None or verify_identity is not None:
        return "REQUIRED"
    if not files:
        return DISABLED
    if "ca" not in files and "capath" not in files:
        return "REQUIRED"
    return "VERIFY_IDENTITY" if _is_true(files.get("check_hostname", True)) else "VERIFY_CA"


def build_tls_context(mode: str, options: Mapping[str, str]) -> ssl.SSLContext:
    """The context of a mode other than DISABLED. `options` may have paths `ca`, `capath`, `cert` and `key`,
    `key_password` and `cipher`; without an authority the system's are trusted.

    Raises OSError for a file that cannot be read, or is none in PEM form.
    """
    verified, named = _VERIFICATIONS[mode]
    context = ssl.create_default_context(cafile=options.get("ca"), capath=options.get("capath"))
    # As mysqlclient: the certificates that MariaDB and MySQL make for themselves are not of that form.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = named
    context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    if "cert" in options:
        context.load_cert_chain(
            options["cert"], keyfile=options.get("key"), password=options.get("key_password")
        )
    if "cipher" in options:
        context.set_ciphers(options["cipher"])
    return context


def _is_true(value: object) -> bool:
    return value is not None and str(value).lower() not in _FALSE
