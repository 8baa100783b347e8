# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd, the API server and, for a cluster with a node, the controllers and the scheduler."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.runtime.certificates import kubeconfig_path
from tests.cluster.runtime.component import Component
from tests.cluster.runtime.profile import API_PORT, POD_RANGE, Profile

ETCD_PORT = 2379
ADMIN_TOKEN = "test-admin-token"
LIMITED_TOKEN = "test-limited-token"


def etcd(profile: Profile, binary: Path) -> Component:
    pki, url = profile.certificates, f"https://127.0.0.1:{ETCD_PORT}"
    options = {
        "data-dir": profile.state / "etcd",
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": "http://127.0.0.1:2380",
        "cert-file": pki / "etcd.crt",
        "key-file": pki / "etcd.key",
        "trusted-ca-file": pki / "ca.crt",
        "client-cert-auth": "true",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    return Component("etcd", [str(binary), *_flags(options)])


def api_server(profile: Profile, kubernetes: Path) -> Component:
    """The API server, with the aggregation layer that CDI's upload API needs and two static tokens for tests."""
    pki = profile.certificates
    tokens = pki / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{ADMIN_TOKEN},token-admin,1,system:masters\n{LIMITED_TOKEN},token-limited,2,\n")
    options = {
        "advertise-address": profile.address,
        "secure-port": API_PORT,
        "tls-cert-file": pki / "kube-apiserver.crt",
        "tls-private-key-file": pki / "kube-apiserver.key",
        "client-ca-file": pki / "ca.crt",
        "token-auth-file": tokens,
        "etcd-servers": f"https://127.0.0.1:{ETCD_PORT}",
        "etcd-cafile": pki / "ca.crt",
        "etcd-certfile": pki / "etcd-client.crt",
        "etcd-keyfile": pki / "etcd-client.key",
        "authorization-mode": "Node,RBAC",
        "service-cluster-ip-range": profile.service_range,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "service-account.key",
        "service-account-signing-key-file": pki / "service-account.key",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-preferred-address-types": "InternalIP",
        "allow-privileged": "true",
        "requestheader-client-ca-file": pki / "ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "profiling": "false",
    }
    if profile.name == "api":
        # No controller creates the service accounts that this plugin waits for.
        options["disable-admission-plugins"] = "ServiceAccount"
    return Component("kube-apiserver", [str(kubernetes / "kube-apiserver"), *_flags(options)])


def controllers(profile: Profile, kubernetes: Path) -> list[Component]:
    pki = profile.certificates
    manager = kubeconfig_path(profile, "kube-controller-manager")
    options = {
        "kubeconfig": manager,
        "authentication-kubeconfig": manager,
        "authorization-kubeconfig": manager,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": pki / "service-account.key",
        "root-ca-file": pki / "ca.crt",
        "cluster-cidr": POD_RANGE,
        "allocate-node-cidrs": "false",
    }
    scheduler = kubeconfig_path(profile, "kube-scheduler")
    scheduling = {
        "kubeconfig": scheduler,
        "authentication-kubeconfig": scheduler,
        "authorization-kubeconfig": scheduler,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
    }
    return [
        Component("kube-controller-manager", [str(kubernetes / "kube-controller-manager"), *_flags(options)]),
        Component("kube-scheduler", [str(kubernetes / "kube-scheduler"), *_flags(scheduling)]),
    ]


def _flags(options: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]
