# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, certificates and kubeconfigs of a test cluster, all under one private CA."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.runtime.profile import Profile

_LIFETIME = datetime.timedelta(days=30)
# The clients of the API server: common name and group.
_CLIENTS = {
    "admin": ("kubevirt-cdi-admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:node", "system:nodes"),
    "kubelet-node2": ("system:node:node2", "system:nodes"),
    "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", "system:masters"),
    "front-proxy-client": ("front-proxy-client", ""),
    "etcd-client": ("etcd-client", ""),
}


class Authority:
    """A CA that writes NAME.crt and NAME.key into a directory."""

    def __init__(self, directory: Path, lifetime: datetime.timedelta = _LIFETIME) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._lifetime = directory, lifetime
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("kubevirt-cdi-test-ca", "")
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._write("ca", self._key, certificate)

    def issue(self, name: str, common_name: str, group: str = "", addresses: Sequence[str] = ()) -> None:
        """Issue a client certificate; with `addresses` (IP addresses and DNS names), also a server certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if addresses else [])]
        builder = (
            self._builder(_name(common_name, group), key.public_key())
            .add_extension(_key_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if addresses:
            names = x509.SubjectAlternativeName([_alternative(address) for address in addresses])
            builder = builder.add_extension(names, critical=False)
        self._write(name, key, builder.sign(self._key, hashes.SHA256()))

    def _builder(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + self._lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        (self._directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_key(self._directory / f"{name}.key", key)


def make_certificates(profile: Profile) -> None:
    """Write the certificates, keys and kubeconfigs of the cluster's components, fixtures and users."""
    authority = Authority(profile.certificates)
    for name, (common_name, group) in _CLIENTS.items():
        authority.issue(name, common_name, group)
    services = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    authority.issue(
        "kube-apiserver",
        "kube-apiserver",
        addresses=[profile.address, profile.api_service_address, "127.0.0.1", *services],
    )
    authority.issue("etcd", "etcd", addresses=["127.0.0.1"])
    authority.issue("kubelet-server", "node", addresses=[profile.address, "node"])
    authority.issue("kubelet-server-node2", "node2", addresses=[profile.second_address, "node2"])
    authority.issue("http", "http", addresses=[profile.address])
    key = ec.generate_private_key(ec.SECP256R1())
    _write_key(profile.certificates / "service-account.key", key)
    for client in ("admin", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubelet-node2"):
        write_kubeconfig(profile, client, kubeconfig_path(profile, client))


def kubeconfig_path(profile: Profile, client: str) -> Path:
    return profile.kubeconfig if client == "admin" else profile.certificates / f"{client}.kubeconfig"


def write_kubeconfig(profile: Profile, client: str, path: Path) -> None:
    """Write a self-contained kubeconfig for one of the clients."""

    def data(name: str) -> str:
        return base64.b64encode((profile.certificates / name).read_bytes()).decode()

    user = {"client-certificate-data": data(f"{client}.crt"), "client-key-data": data(f"{client}.key")}
    cluster = {"server": profile.server, "certificate-authority-data": data("ca.crt")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": client}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def _name(common_name: str, group: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _alternative(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
