# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that CDI gives to its parts, annotations and labels (pkg/common/common.go, pkg/controller/common/util.go,
v1.65.0)."""

from __future__ import annotations

import typing as t

PREFIX: t.Final = "cdi.kubevirt.io/"

# Labels of what CDI creates: all of it, and the part that it belongs to.
APP, APP_NAME = "app", "containerized-data-importer"
COMPONENT = "cdi.kubevirt.io"
CREATED_BY_CDI = f"{APP}={APP_NAME}"

# Deployments of CDI, beside its operator (OPERATOR of the resources).
API_SERVER, CONTROLLER, UPLOAD_PROXY = "cdi-apiserver", "cdi-deployment", "cdi-uploadproxy"
UPLOAD_API = "v1beta1.upload.cdi.kubevirt.io"

# Annotations that a user or CDI sets on a DataVolume or a claim.
METHOD = f"{PREFIX}cloneType"
CLONE_ERROR = f"{PREFIX}cloneError"
CLONE_REQUEST = "k8s.io/CloneRequest"
BIND_IMMEDIATELY = f"{PREFIX}storage.bind.immediate.requested"
CONTENT_TYPE = f"{PREFIX}storage.contentType"
USE_POPULATOR = f"{PREFIX}storage.usePopulator"
PRE_POPULATED = f"{PREFIX}storage.prePopulated"
CHECK_STATIC_VOLUME = f"{PREFIX}storage.checkStaticVolume"
POPULATED_FOR = f"{PREFIX}storage.populatedFor"
ADOPT_CLAIM = f"{PREFIX}allowClaimAdoption"
RUNNING = f"{PREFIX}storage.condition.running"
SOURCE_RUNNING = f"{PREFIX}storage.condition.source.running"

# An annotation of a StorageProfile.
MINIMUM_SIZE = f"{PREFIX}minimumSupportedPvcSize"
