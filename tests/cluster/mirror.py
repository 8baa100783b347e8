# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors CDI's images to the test cluster's registry with a password, as for an air-gapped cluster.

python -m tests.cluster.mirror images PATH             mirror the images below a path
python -m tests.cluster.mirror credentials NAMESPACE   create the namespace and Secret registry-credentials in it
python -m tests.cluster.mirror pulled PATH             print the images that pods pulled from the path, as NAME:TAG
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import tarfile
from pathlib import Path

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from tests.cluster.build import ensure
from tests.cluster.runtime.fixtures_http import PASSWORD, USER
from tests.cluster.runtime.fixtures_registry import push_known_image
from tests.cluster.runtime.profile import PROFILES

SECRET = "registry-credentials"


def mirror(registry: str, state: Path, path: str, archive: Path) -> None:
    """Push the archive's images of CDI to `registry` (HOST:PORT) as PATH/NAME:TAG; `state` is the cluster's."""
    with tarfile.open(archive) as layout:
        for entry in json.loads(_member(layout, "./index.json"))["manifests"]:
            name, tag = entry["annotations"]["io.containerd.image.name"].rpartition("/")[2].split(":")
            if name.startswith("cdi-"):
                algorithm, digest = entry["digest"].split(":")
                manifest = _member(layout, f"./blobs/{algorithm}/{digest}")
                push_known_image(registry, state, f"{path}/{name}", tag, manifest)


def _member(layout: tarfile.TarFile, name: str) -> bytes:
    stream = layout.extractfile(name)
    assert stream, name
    return stream.read()


def create_credentials(core: client.CoreV1Api, namespace: str, registry: str) -> None:
    """Create the namespace and the Secret, or keep those that exist."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    secret = {
        "metadata": {"name": SECRET},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps({"auths": {registry: {"auth": login}}})},
    }
    for create, arguments in (
        (core.create_namespace, ({"metadata": {"name": namespace}},)),
        (core.create_namespaced_secret, (namespace, secret)),
    ):
        try:
            create(*arguments)
        except ApiException as error:
            if error.status != 409:
                raise


def pulled(core: client.CoreV1Api, path: str) -> list[str]:
    """The images of this path that a kubelet fetched, according to its events."""
    messages = [event.message or "" for event in core.list_event_for_all_namespaces().items if event.reason == "Pulled"]
    image = re.compile(rf'^Successfully pulled image "[^"]*/{re.escape(path)}/([^"]+)"')
    return sorted({match.group(1) for match in map(image.match, messages) if match})


def main(command: str, argument: str) -> None:
    if command == "images":
        registry, state = os.environ["KUBEVIRT_CDI_TEST_REGISTRY"], PROFILES["full"].state
        mirror(registry, state, argument, ensure("images")["images"])
        return
    core = client.CoreV1Api(config.new_client_from_config(os.environ["KUBECONFIG"]))
    if command == "credentials":
        create_credentials(core, argument, os.environ["KUBEVIRT_CDI_TEST_PRIVATE_REGISTRY"])
    else:
        print(json.dumps(pulled(core, argument)))


if __name__ == "__main__":
    main(*sys.argv[1:])
