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
      - Path of a kubeconfig file, or its content as a dictionary. Several paths separated by colons are merged, as
        C(kubectl) does.
      - If this option, O(host) and credentials are all omitted, the files named by the environment variable
        E(KUBECONFIG) are used, then C(~/.kube/config), then the service account of the pod, in the order that
        C(kubectl) uses.
      - A kubeconfig has the same meaning as for C(kubectl), and a kubeconfig that C(kubectl) rejects is rejected. Other
        options override its fields. Its credentials are not sent over plain HTTP.
      - Tokens of credential plugins, token files and OIDC providers are renewed when they expire, and once when the API
        server rejects them.
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
    description: Username for basic authentication.
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
    description: Path of the private key of the client certificate.
    type: path
    env:
      - name: K8S_AUTH_CLIENT_KEY
      - name: K8S_AUTH_KEY_FILE
    vars:
      - name: kubevirt_cdi_client_key
  ca_cert:
    description:
      - Path of the CA certificates used to verify the certificate of the API server. If it is omitted and the
        kubeconfig contains none, the CA certificates of the system are used, or those in the file named by the
        environment variable E(SSL_CERT_FILE).
    type: path
    env:
      - name: K8S_AUTH_CA_CERT
      - name: K8S_AUTH_SSL_CA_CERT
    vars:
      - name: cdi_ca_cert
      - name: kubevirt_cdi_ca_cert
  validate_certs:
    description: Whether to verify the certificate of the API server. It is verified unless this option or the
      kubeconfig disables it.
    type: bool
    env:
      - name: K8S_AUTH_VALIDATE_CERTS
      - name: K8S_AUTH_VERIFY_SSL
    vars:
      - name: kubevirt_cdi_validate_certs
  proxy:
    description:
      - URL of a proxy. A username and password in the URL are sent to the proxy and never displayed.
      - If omitted, the C(proxy-url) of the kubeconfig is used, then E(HTTPS_PROXY) and E(NO_PROXY). E(NO_PROXY) applies
        only to the proxy from E(HTTPS_PROXY), which is also bypassed for connections to the local host.
      - SOCKS proxies require the Python package C(PySocks).
    type: str
    env:
      - name: K8S_AUTH_PROXY
    vars:
      - name: kubevirt_cdi_proxy
  no_proxy:
    description: Comma-separated hosts, domains, addresses and networks, with or without a port, that are reached
      without any proxy.
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
        description: Credentials for the proxy, as C(user:password). Can also be specified with the environment variable
          E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH).
        type: str
      basic_auth:
        description: Credentials for basic authentication, as C(user:password). Can also be specified with the
          environment variable E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH).
        type: str
      user_agent:
        description: User agent. Can also be specified with the environment variable
          E(K8S_AUTH_PROXY_HEADERS_USER_AGENT).
        type: str
    vars:
      - name: kubevirt_cdi_proxy_headers
  persist_config:
    description: Whether to write renewed tokens of an OIDC provider back to the kubeconfig.
    type: bool
    env:
      - name: K8S_AUTH_PERSIST_CONFIG
    vars:
      - name: kubevirt_cdi_persist_config
  impersonate_user:
    description: User to impersonate.
    type: str
    env:
      - name: K8S_AUTH_IMPERSONATE_USER
    vars:
      - name: kubevirt_cdi_impersonate_user
  impersonate_groups:
    description: Groups to impersonate.
    type: list
    elements: str
    env:
      - name: K8S_AUTH_IMPERSONATE_GROUPS
    vars:
      - name: kubevirt_cdi_impersonate_groups
"""
