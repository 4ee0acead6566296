"""Certificates and their keys: what they are for, until when, and those that sign themselves."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SELF_SIGNED_DAYS = 397


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False


def read(file: Path) -> x509.Certificate | None:
    """Return the first certificate of a file; None where there is none. Raises ValueError where it is something else."""
    with contextlib.suppress(FileNotFoundError):
        return x509.load_pem_x509_certificate(file.read_bytes())
    return None


def names(certificate: x509.Certificate | None) -> list[str]:
    """Return the host names and addresses that a certificate is for."""
    if not certificate:
        return []
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return found.get_values_for_type(x509.DNSName) + list(map(str, found.get_values_for_type(x509.IPAddress)))


def covers(one: str, name: str) -> bool:
    """Whether a name of a certificate is good for a host: *.example.org is for one label (RFC 9525, 6.3)."""
    return one.lower() == name.lower() or (one.startswith("*.") and one[2:].lower() == name.lower().partition(".")[2])


def left(certificate: x509.Certificate) -> float:
    """Return the share of a certificate's lifetime that is left, 0 to 1; below 0 when it has ended."""
    begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return (end - time.time()) / (end - begin)


def write(file: Path, content: bytes) -> None:
    """Write a file in one step, for root alone."""
    draft = file.with_name(f".{file.name}.new")
    draft.write_bytes(content)
    draft.replace(file)


def self_signed(wanted: list[str], file: Path) -> None:
    """Write a certificate that signs itself, and its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(nobody, nobody, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if wanted:
        found = [x509.IPAddress(ipaddress.ip_address(one)) if is_address(one) else x509.DNSName(one) for one in wanted]
        builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=True)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    write(file, certificate + key.private_bytes(serialization.Encoding.PEM, *plain))
