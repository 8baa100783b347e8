# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The components of the node, each with its own directories: containerd, kubelet, kube-proxy and CoreDNS."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.cluster.runtime.certificates import kubeconfig_path
from tests.cluster.runtime.component import Component
from tests.cluster.runtime.profile import POD_RANGE, Profile
from tests.cluster.versions import PAUSE_IMAGE

NODE_NAME = "node"
CNI_BINARIES = "/usr/lib/cni"
# Device plugins and KubeVirt use this path, whatever the kubelet's own directory is.
KUBELET_DIRECTORY = Path("/var/lib/kubelet")
# Names in /var/lib, to which the node's components and pods write.
DIRECTORIES = ("cni", "kubelet", "kubevirt", "kubevirt-node-labeller")


def containerd_socket(profile: Profile) -> Path:
    return profile.state / "containerd.sock"


def labels() -> dict[str, Any]:
    """The node with the label that KubeVirt's control plane requires. A kubelet may not set it."""
    metadata = {"name": NODE_NAME, "labels": {"node-role.kubernetes.io/control-plane": ""}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


def containerd(profile: Profile, registries: Iterable[str]) -> Component:
    """containerd, which pulls from `registries` (HOST:PORT) without TLS."""
    networks = profile.state / "cni"
    networks.mkdir(exist_ok=True)
    # ptp routes every packet through the node, so services work without the kernel's bridge filter.
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_RANGE}]],
        "dataDir": str(profile.state / "ipam"),
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins: list[dict[str, Any]] = [{"type": "ptp", "ipMasq": True, "ipam": ipam}]
    (networks / "10-pods.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}))
    plugin = '[plugins."io.containerd.grpc.v1.cri".registry.mirrors'
    mirrors = "\n".join(f'{plugin}."{registry}"]\nendpoint = ["http://{registry}"]' for registry in registries)
    config = profile.state / "containerd.toml"
    config.write_text(f"""version = 2
root = "{profile.state}/containerd"
state = "{profile.state}/containerd-run"
[grpc]
address = "{containerd_socket(profile)}"
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
    return Component("containerd", ["/usr/bin/containerd", "--config", str(config)])


def kubelet(profile: Profile, kubernetes: Path) -> Component:
    pki = profile.certificates
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(pki / "ca.crt")}},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{profile.cgroup}",
        "clusterDNS": [profile.address],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{containerd_socket(profile)}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(profile.state / "pod-logs"),
        "resolvConf": "",
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
        # An importer restarts once for its scratch space. Without this setting, each restart takes 10 s.
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "registerWithTaints": [],
    }
    path = profile.state / "kubelet.json"
    path.write_text(json.dumps(config, indent=1))
    options = [
        f"--config={path}",
        f"--kubeconfig={kubeconfig_path(profile, 'kubelet')}",
        f"--root-dir={KUBELET_DIRECTORY}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={profile.address}",
    ]
    return Component("kubelet", [str(kubernetes / "kubelet"), *options])


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
