# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - kubernetes >= 29.0.0 (Python package, on the controller)
options:
  kubeconfig:
    description:
      - Path of a kubeconfig, or its content as a dictionary. Several paths with colons between them are merged, as C(kubectl) does it.
      - Without it, and without O(host) and credentials, what the variable E(KUBECONFIG) names is used, then C(~/.kube/config), then the
        service account of the pod, in the order of C(kubectl).
      - A kubeconfig means what it means to C(kubectl), and what C(kubectl) refuses is refused. Other options win over its fields. Its
        credentials are not sent over plain HTTP.
      - Tokens of credential plugins, token files and OIDC providers are renewed when they expire, and once when the API server rejects them.
    type: raw
    env:
      - name: K8S_AUTH_KUBECONFIG
    vars:
      - name: cdi_kubeconfig
      - name: kubevirt_cdi_kubeconfig
  context:
    description: Context of the kubeconfig.
    type: str
    env:
      - name: K8S_AUTH_CONTEXT
    vars:
      - name: cdi_context
      - name: kubevirt_cdi_context
  host:
    description: URL of the API server.
    type: str
    env:
      - name: K8S_AUTH_HOST
    vars:
      - name: cdi_host
      - name: kubevirt_cdi_host
  api_key:
    description: Bearer token.
    type: str
    env:
      - name: K8S_AUTH_API_KEY
    vars:
      - name: cdi_api_key
      - name: kubevirt_cdi_api_key
  username:
    description: Name for basic authentication.
    type: str
    env:
      - name: K8S_AUTH_USERNAME
    vars:
      - name: kubevirt_cdi_username
  password:
    description: Password for basic authentication.
    type: str
    env:
      - name: K8S_AUTH_PASSWORD
    vars:
      - name: kubevirt_cdi_password
  client_cert:
    description: Path of a client certificate.
    type: path
    env:
      - name: K8S_AUTH_CLIENT_CERT
      - name: K8S_AUTH_CERT_FILE
    vars:
      - name: kubevirt_cdi_client_cert
  client_key:
    description: Path of the client certificate's key.
    type: path
    env:
      - name: K8S_AUTH_CLIENT_KEY
      - name: K8S_AUTH_KEY_FILE
    vars:
      - name: kubevirt_cdi_client_key
  ca_cert:
    description:
      - Path of the CA certificates that the API server's certificate is verified with. Without it, and without one in the kubeconfig,
        those of the system are used, which the variable E(SSL_CERT_FILE) can name.
    type: path
    env:
      - name: K8S_AUTH_CA_CERT
      - name: K8S_AUTH_SSL_CA_CERT
    vars:
      - name: cdi_ca_cert
      - name: kubevirt_cdi_ca_cert
  validate_certs:
    description: Whether the API server's certificate is verified. It is, unless this option or the kubeconfig says otherwise.
    type: bool
    env:
      - name: K8S_AUTH_VALIDATE_CERTS
      - name: K8S_AUTH_VERIFY_SSL
    vars:
      - name: kubevirt_cdi_validate_certs
  proxy:
    description:
      - URL of a proxy. A user name and a password in it are sent to the proxy and never shown.
      - Without it, C(proxy-url) of the kubeconfig is used, then E(HTTPS_PROXY) and E(NO_PROXY). E(NO_PROXY) counts for no other proxy than
        that of E(HTTPS_PROXY), and not even that is used for this host itself.
      - SOCKS proxies need the Python package C(PySocks).
    type: str
    env:
      - name: K8S_AUTH_PROXY
    vars:
      - name: kubevirt_cdi_proxy
  no_proxy:
    description: Comma-separated hosts, domains, addresses and networks, with or without a port, that are reached without any proxy.
    type: str
    env:
      - name: K8S_AUTH_NO_PROXY
    vars:
      - name: kubevirt_cdi_no_proxy
  proxy_headers:
    description: Headers for the proxy.
    type: dict
    suboptions:
      proxy_basic_auth:
        description: C(user:password) for the proxy. The variable E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH) gives it, too.
        type: str
      basic_auth:
        description: C(user:password) for basic authentication. The variable E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH) gives it, too.
        type: str
      user_agent:
        description: User agent. The variable E(K8S_AUTH_PROXY_HEADERS_USER_AGENT) gives it, too.
        type: str
    vars:
      - name: kubevirt_cdi_proxy_headers
  persist_config:
    description: Whether renewed tokens of an OIDC provider are written back to the kubeconfig.
    type: bool
    env:
      - name: K8S_AUTH_PERSIST_CONFIG
    vars:
      - name: kubevirt_cdi_persist_config
  impersonate_user:
    description: User to act as.
    type: str
    env:
      - name: K8S_AUTH_IMPERSONATE_USER
    vars:
      - name: kubevirt_cdi_impersonate_user
  impersonate_groups:
    description: Groups to act as.
    type: list
    elements: str
    env:
      - name: K8S_AUTH_IMPERSONATE_GROUPS
    vars:
      - name: kubevirt_cdi_impersonate_groups
"""
