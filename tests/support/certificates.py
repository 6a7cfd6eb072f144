"""Authorities and the certificates that they sign, made for a test."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files beside each other."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    path: Path

    @property
    def key_path(self) -> Path:
        return self.path.with_suffix(".key")


def make_authority(folder: Path, name: str) -> Certificate:
    """A self-signed authority."""
    return _make(folder, name, x509.BasicConstraints(ca=True, path_length=None), None)


def sign(folder: Path, name: str, authority: Certificate, *hosts: str) -> Certificate:
    """A server's certificate for host names and IP addresses."""
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return _make(folder, name, x509.SubjectAlternativeName(names), authority)


def _make(
    folder: Path, name: str, extension: x509.ExtensionType, authority: Certificate | None
) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(authority.key if authority else key, hashes.SHA256())
    )
    made = Certificate(certificate, key, folder / f"{name}.pem")
    made.path.write_bytes(certificate.public_bytes(Encoding.PEM))
    made.key_path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return made
