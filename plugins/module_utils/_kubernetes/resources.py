# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds that the collection reads and writes. They are known, so no discovery is needed."""

from __future__ import annotations

import typing as t
from urllib.parse import quote


class Resource(t.NamedTuple):
    """A kind of the API. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The path of all objects, or of the object `name`."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


# The name under which the API server records which fields we set.
FIELD_MANAGER = "kubevirt.cdi"

_CDI, _KUBEVIRT, _SNAPSHOT = "cdi.kubevirt.io", "kubevirt.io", "snapshot.storage.k8s.io"

CDI = Resource(_CDI, "v1beta1", "cdis", "CDI", False)
CDI_CONFIG = Resource(_CDI, "v1beta1", "cdiconfigs", "CDIConfig", False)
# The Deployment that installs CDI.
OPERATOR = "cdi-operator"
# The name of the one CDIConfig.
CONFIG_NAME = "config"
STORAGE_PROFILE = Resource(_CDI, "v1beta1", "storageprofiles", "StorageProfile", False)
DATA_SOURCE = Resource(_CDI, "v1beta1", "datasources", "DataSource", True)
DATA_VOLUME = Resource(_CDI, "v1beta1", "datavolumes", "DataVolume", True)
UPLOAD_TOKEN_REQUEST = Resource("upload.cdi.kubevirt.io", "v1beta1", "uploadtokenrequests", "UploadTokenRequest", True)
DATA_IMPORT_CRON = Resource(_CDI, "v1beta1", "dataimportcrons", "DataImportCron", True)
HYPER_CONVERGED = Resource("hco.kubevirt.io", "v1beta1", "hyperconvergeds", "HyperConverged", True)
VOLUME_CLONE_SOURCE = Resource(_CDI, "v1beta1", "volumeclonesources", "VolumeCloneSource", True)
VIRTUAL_MACHINE = Resource(_KUBEVIRT, "v1", "virtualmachines", "VirtualMachine", True)
VIRTUAL_MACHINE_INSTANCE = Resource(_KUBEVIRT, "v1", "virtualmachineinstances", "VirtualMachineInstance", True)
# Served by KubeVirt's API server, which plugs volumes by subresources of these.
INSTANCE_SUBRESOURCE = VIRTUAL_MACHINE_INSTANCE._replace(group="subresources.kubevirt.io")
INSTANCE_MIGRATION = Resource(
    _KUBEVIRT, "v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration", True
)
KUBEVIRT = Resource(_KUBEVIRT, "v1", "kubevirts", "KubeVirt", True)
PERSISTENT_VOLUME_CLAIM = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True)
PERSISTENT_VOLUME = Resource("", "v1", "persistentvolumes", "PersistentVolume", False)
STORAGE_CLASS = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", False)
CSI_DRIVER = Resource("storage.k8s.io", "v1", "csidrivers", "CSIDriver", False)
VOLUME_SNAPSHOT = Resource(_SNAPSHOT, "v1", "volumesnapshots", "VolumeSnapshot", True)
VOLUME_SNAPSHOT_CONTENT = Resource(_SNAPSHOT, "v1", "volumesnapshotcontents", "VolumeSnapshotContent", False)
VOLUME_SNAPSHOT_CLASS = Resource(_SNAPSHOT, "v1", "volumesnapshotclasses", "VolumeSnapshotClass", False)
POD = Resource("", "v1", "pods", "Pod", True)
NODE = Resource("", "v1", "nodes", "Node", False)
SECRET = Resource("", "v1", "secrets", "Secret", True)
SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount", True)
INGRESS = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", True)
PRIORITY_CLASS = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False)
LIMIT_RANGE = Resource("", "v1", "limitranges", "LimitRange", True)
RESOURCE_QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota", True)
NAMESPACE = Resource("", "v1", "namespaces", "Namespace", False)
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap", True)
EVENT = Resource("", "v1", "events", "Event", True)
DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment", True)
API_SERVICE = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", False)
CUSTOM_RESOURCE_DEFINITION = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False
)

SELF_SUBJECT_ACCESS_REVIEW = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False
)

_RBAC = "rbac.authorization.k8s.io"

CLUSTER_ROLE = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", False)
CLUSTER_ROLE_BINDING = Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False)
ROLE = Resource(_RBAC, "v1", "roles", "Role", True)
ROLE_BINDING = Resource(_RBAC, "v1", "rolebindings", "RoleBinding", True)

# The kinds in a release manifest of CDI, in the order of their creation.
MANIFEST_KINDS = {
    resource.kind: resource
    for resource in (
        NAMESPACE,
        CUSTOM_RESOURCE_DEFINITION,
        CLUSTER_ROLE,
        CLUSTER_ROLE_BINDING,
        SERVICE_ACCOUNT,
        ROLE,
        ROLE_BINDING,
        CONFIG_MAP,
        Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True),
        DEPLOYMENT,
    )
}
