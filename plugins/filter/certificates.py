"""What can be told of certificates and their names on the control machine."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

RSA_BITS = 2048  # OpenSSL's security level 2, which Debian has


def certificate_names(server_names: Iterable[str]) -> list[str]:
    """Return host names as a certificate has them, each once: in lower case, an address without brackets and in its usual form."""
    found = []
    for name in server_names:
        bare = name.removeprefix("[").removesuffix("]").removesuffix(".").lower()
        with contextlib.suppress(ValueError):
            bare = str(ipaddress.ip_address(bare))
        found.append(bare)
    return list(dict.fromkeys(found))


def ip_addresses(server_names: Iterable[str]) -> list[str]:
    """Return those of the names that are addresses, without brackets."""
    found = []
    for name in certificate_names(server_names):
        try:
            ipaddress.ip_address(name)
        except ValueError:
            continue
        found.append(name)
    return found


def covered_names(server_names: Iterable[str], certificate: Iterable[str]) -> list[str]:
    """Return those of a site's names that are among those of its certificate, as the site writes them."""
    there = set(certificate)
    return [name for name in server_names if certificate_names([name])[0] in there]


def names_elsewhere(names: Iterable[str], hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return those of a site's names, as its certificate has them, that other hosts have among their app_domains."""
    others = [hostvars[host]["app_domains"] for host in hosts if "app_domains" in hostvars[host]]
    there = {name for domains in others for name in certificate_names(domains)}
    return [name for name in names if name in there]


def covers(one: str, name: str) -> bool:
    """Whether a name of a certificate is good for a host: *.example.org is for one label (RFC 9525, 6.3)."""
    return one.lower() == name or (one.startswith("*.") and one[2:].lower() == name.partition(".")[2])


def pair_problems(certificate: str, key: str, server_names: Iterable[str]) -> list[str]:
    """Return why a site cannot use a certificate and its key: sentences, none where it can.

    certificate: PEM, first the site's own, then those that lead to the CA. key: PEM, without a password.
    """
    for name, value in (("certificate", certificate), ("key", key)):
        if value.startswith(("/", "~", "./", "../")) and "\n" not in value:
            return [
                f"certificates_provided_{name}: it is a path, {value}, and not what the file has. Give that, as PEM: "
                f"lookup('ansible.builtin.file', '{value}')."
            ]
    try:
        own, *chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        return [
            "certificates_provided_certificate: it is not a certificate in PEM. Its first line is -----BEGIN CERTIFICATE-----."
        ]
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return [
            "certificates_provided_key: it has a password, which no server can type. Take it off: openssl pkey -in KEY."
        ]
    except (ValueError, UnsupportedAlgorithm):
        return [
            "certificates_provided_key: it is not a private key in PEM. Its first line is -----BEGIN PRIVATE KEY-----."
        ]
    public = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    wrong = []
    if private.public_key().public_bytes(*public) != own.public_key().public_bytes(*public):
        wrong.append(
            "certificates_provided_key: it is not the key of certificates_provided_certificate. Give the two that belong together."
        )
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < RSA_BITS:
        wrong.append(
            f"certificates_provided_key: RSA with {private.key_size} bits is too weak for Debian's OpenSSL. Use {RSA_BITS}, or ECDSA."
        )
    for one in [own, *chain]:
        wrong += time_problems(one)
    return wrong + name_problems(own, server_names)


def time_problems(one: x509.Certificate) -> list[str]:
    """Return that a certificate has ended, or has not begun."""
    now, whose = datetime.datetime.now(datetime.UTC), one.subject.rfc4514_string() or "the site"
    if now >= one.not_valid_after_utc:
        said = f"ended on {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC. Give one that is valid."
    elif now < one.not_valid_before_utc:
        said = f"begins on {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC. Give one that is valid now."
    else:
        return []
    return [f"certificates_provided_certificate: that of {whose} {said}"]


def name_problems(own: x509.Certificate, server_names: Iterable[str]) -> list[str]:
    """Return which names of the site a certificate is not for. Browsers do not look at its subject."""
    there: list[str] = []
    with contextlib.suppress(x509.ExtensionNotFound):
        found = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        there = found.get_values_for_type(x509.DNSName) + list(map(str, found.get_values_for_type(x509.IPAddress)))
    lacking = [name for name in certificate_names(server_names) if not any(covers(one, name) for one in there)]
    return (
        [
            f"certificates_provided_certificate: it is for {', '.join(there) or 'no host'}, and app_domains also has "
            f"{', '.join(lacking)}. Give one for all of them, or take the name out."
        ]
        if lacking
        else []
    )


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "certificate_names": certificate_names,
            "covered_names": covered_names,
            "ip_addresses": ip_addresses,
            "names_elsewhere": names_elsewhere,
            "pair_problems": pair_problems,
        }
