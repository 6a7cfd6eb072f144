"""What a URL's words about TLS mean to PyMySQL."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from evergreen.drivers.tls import build_tls_context, choose_tls_mode
from support.certificates import make_authority


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ({}, "DISABLED"),
        ({"ssl_mode": "REQUIRED"}, "REQUIRED"),
        ({"ssl_mode": "verify_identity", "files": {"ca": "x"}}, "VERIFY_IDENTITY"),
        # Who names an authority means it.
        ({"files": {"ca": "x"}}, "VERIFY_IDENTITY"),
        ({"files": {"capath": "x", "check_hostname": "false"}}, "VERIFY_CA"),
        ({"files": {"cert": "x", "key": "y"}}, "REQUIRED"),
        ({"verify_identity": "true"}, "VERIFY_IDENTITY"),
        ({"verify_identity": True, "files": {"ca": "x", "check_hostname": False}}, "VERIFY_IDENTITY"),
        ({"disabled": "true", "files": {"ca": "x"}}, "DISABLED"),
        ({"disabled": "false", "files": {"ca": "x"}}, "VERIFY_IDENTITY"),
        ({"verify_cert": "1"}, "VERIFY_CA"),
        ({"verify_cert": "false", "files": {"ca": "x"}}, "REQUIRED"),
    ],
)
def test_one_mode_follows_from_all_words(words: dict[str, Any], mode: str) -> None:
    said = {**dict.fromkeys(("ssl_mode", "disabled", "verify_cert", "verify_identity")), "files": {}, **words}
    assert choose_tls_mode(**said) == mode


@pytest.mark.parametrize(
    ("mode", "verified", "named"),
    [
        ("PREFERRED", ssl.CERT_NONE, False),
        ("REQUIRED", ssl.CERT_NONE, False),
        ("VERIFY_CA", ssl.CERT_REQUIRED, False),
        ("VERIFY_IDENTITY", ssl.CERT_REQUIRED, True),
    ],
)
def test_a_mode_verifies_what_it_says(
    tmp_path: Path, mode: str, verified: ssl.VerifyMode, named: bool
) -> None:
    authority = make_authority(tmp_path, "authority")
    context = build_tls_context(mode, {"ca": str(authority.path)})
    assert (context.verify_mode, context.check_hostname) == (verified, named)
    assert len(context.get_ca_certs()) == 1


def test_the_system_is_trusted_where_no_authority_is_named() -> None:
    """Nobody would be, if the system had none: a server is refused then."""
    context = build_tls_context("VERIFY_IDENTITY", {})
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
