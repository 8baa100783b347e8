# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The components of a node, each with its own directories: containerd, kubelet, kube-proxy and CoreDNS."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.runtime.certificates import kubeconfig_path
from tests.cluster.runtime.component import Component
from tests.cluster.runtime.profile import POD_RANGE, Profile
from tests.cluster.versions import PAUSE_IMAGE

NODE_NAME = "node"
# Of the first and the second node.
SUFFIXES = ("", "-node2")
CNI_BINARIES = "/usr/lib/cni"
# Device plugins and KubeVirt use this path, whatever the kubelet's own directory is.
KUBELET_DIRECTORY = Path("/var/lib/kubelet")
# Names in /var/lib, to which the node's components and pods write.
DIRECTORIES = ("cni", "kubelet", "kubevirt", "kubevirt-node-labeller")


@dataclass(frozen=True)
class Node:
    """A node; its `suffix` is in the names of its components, its cgroup and its files in the cluster's state."""

    profile: Profile
    name: str
    suffix: str
    address: str
    pods: str

    def file(self, name: str, extension: str = "") -> Path:
        return self.profile.state / f"{name}{self.suffix}{extension}"

    @property
    def containerd_socket(self) -> Path:
        return self.file("containerd", ".sock")


def first(profile: Profile) -> Node:
    return Node(profile, NODE_NAME, SUFFIXES[0], profile.address, "10.244.0.0/24")


def second(profile: Profile) -> Node:
    """It shares the first node's kube-proxy: its route to service addresses leads there."""
    return Node(profile, "node2", SUFFIXES[1], profile.second_address, "10.244.1.0/24")


def labels() -> dict[str, Any]:
    """The first node with the label that KubeVirt's control plane requires. A kubelet may not set it."""
    metadata = {"name": NODE_NAME, "labels": {"node-role.kubernetes.io/control-plane": ""}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


def containerd(node: Node, registries: Iterable[str]) -> Component:
    """containerd, which pulls from `registries` (HOST:PORT) without TLS."""
    networks = node.file("cni")
    networks.mkdir(exist_ok=True)
    # ptp routes every packet through the node, so services work without the kernel's bridge filter.
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": node.pods}]],
        "dataDir": str(node.file("ipam")),
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins: list[dict[str, Any]] = [{"type": "ptp", "ipMasq": True, "ipam": ipam}]
    (networks / "10-pods.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}))
    plugin = '[plugins."io.containerd.grpc.v1.cri".registry.mirrors'
    mirrors = "\n".join(f'{plugin}."{registry}"]\nendpoint = ["http://{registry}"]' for registry in registries)
    config = node.file("containerd", ".toml")
    config.write_text(f"""version = 2
root = "{node.file("containerd")}"
state = "{node.file("containerd-run")}"
[grpc]
address = "{node.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
device_ownership_from_security_context = true
# Without CAP_SYS_RESOURCE no process may lower its oom_score_adj.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_BINARIES}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
{mirrors}
""")
    return Component(f"containerd{node.suffix}", ["/usr/bin/containerd", "--config", str(config)])


def kubelet(node: Node, kubernetes: Path) -> Component:
    pki = node.profile.certificates
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(pki / "ca.crt")}},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.profile.cgroup}{node.suffix}",
        "clusterDNS": [node.profile.address],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{node.containerd_socket}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(node.file("pod-logs")),
        "resolvConf": "",
        "tlsCertFile": str(pki / f"kubelet-server{node.suffix}.crt"),
        "tlsPrivateKeyFile": str(pki / f"kubelet-server{node.suffix}.key"),
        # An importer restarts once for its scratch space. Without this setting, each restart takes 10 s.
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "registerWithTaints": [],
    }
    path = node.file("kubelet", ".json")
    path.write_text(json.dumps(config, indent=1))
    options = [
        f"--config={path}",
        f"--kubeconfig={kubeconfig_path(node.profile, f'kubelet{node.suffix}')}",
        f"--root-dir={KUBELET_DIRECTORY}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    ]
    return Component(f"kubelet{node.suffix}", [str(kubernetes / "kubelet"), *options])


def kube_proxy(profile: Profile, kubernetes: Path) -> Component:
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": NODE_NAME,
        "clientConnection": {"kubeconfig": str(kubeconfig_path(profile, "kube-proxy"))},
        # The kernel's limits apply to the whole machine: leave them unchanged.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    path = profile.state / "kube-proxy.json"
    path.write_text(json.dumps(config, indent=1))
    return Component("kube-proxy", [str(kubernetes / "kube-proxy"), f"--config={path}"])


def coredns(profile: Profile, binary: Path) -> Component:
    path = profile.state / "Corefile"
    path.write_text(f""".:53 {{
    bind {profile.address}
    errors
    kubernetes cluster.local {{
        kubeconfig {profile.kubeconfig}
        ttl 1
    }}
}}
""")
    return Component("coredns", [str(binary), "-conf", str(path)])
