# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - kubernetes >= 29.0.0 (Python package, on the host that runs the task)
notes:
  - The options for the connection have the names and the environment variables of C(kubernetes.core), so C(module_defaults) and AWX
    credentials work unchanged.
  - AWX's credential C(OpenShift or Kubernetes API Bearer Token) switches the verification of certificates off when no CA is given in it.
    The modules warn about it.
options:
  kubeconfig:
    description:
      - Path of a kubeconfig, or its content as a dictionary. Several paths with colons between them are merged, as C(kubectl) does it.
      - Without it, and without O(host) and credentials, what the variable E(KUBECONFIG) names is used, then C(~/.kube/config), then the
        service account of the pod, in the order of C(kubectl).
      - A kubeconfig means what it means to C(kubectl), and what C(kubectl) refuses is refused. Other options win over its fields. Its
        credentials are not sent over plain HTTP.
      - Tokens of credential plugins, token files and OIDC providers are renewed when they expire, and once when the API server rejects them.
      - The variable E(K8S_AUTH_KUBECONFIG) gives it, too.
    type: raw
  context:
    description: Context of the kubeconfig. The variable E(K8S_AUTH_CONTEXT) gives it, too.
    type: str
  host:
    description:
      - URL of the API server. It wins over that of the kubeconfig, whose C(tls-server-name) then does not count.
      - The variable E(K8S_AUTH_HOST) gives it, too.
    type: str
  api_key:
    description: Bearer token. The variable E(K8S_AUTH_API_KEY) gives it, too.
    type: str
  username:
    description: Name for basic authentication. The variable E(K8S_AUTH_USERNAME) gives it, too.
    type: str
  password:
    description: Password for basic authentication. The variable E(K8S_AUTH_PASSWORD) gives it, too.
    type: str
  client_cert:
    description: Path of a client certificate. The variables E(K8S_AUTH_CLIENT_CERT) and E(K8S_AUTH_CERT_FILE) give it, too.
    type: path
    aliases: [cert_file]
  client_key:
    description: Path of the client certificate's key. The variables E(K8S_AUTH_CLIENT_KEY) and E(K8S_AUTH_KEY_FILE) give it, too.
    type: path
    aliases: [key_file]
  ca_cert:
    description:
      - Path of the CA certificates that the API server's certificate is verified with. Without it, and without one in the kubeconfig,
        those of the system are used, which the variable E(SSL_CERT_FILE) can name.
      - The variables E(K8S_AUTH_CA_CERT) and E(K8S_AUTH_SSL_CA_CERT) give it, too.
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether the API server's certificate is verified. It is, unless this option or the kubeconfig says otherwise.
      - The variables E(K8S_AUTH_VALIDATE_CERTS) and E(K8S_AUTH_VERIFY_SSL) give it, too.
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - URL of a proxy. A user name and a password in it are sent to the proxy and never shown.
      - Without it, C(proxy-url) of the kubeconfig is used, then E(HTTPS_PROXY) and E(NO_PROXY). E(NO_PROXY) counts for no other proxy than
        that of E(HTTPS_PROXY), and not even that is used for this host itself.
      - SOCKS proxies need the Python package C(PySocks).
      - The variable E(K8S_AUTH_PROXY) gives it, too.
    type: str
  no_proxy:
    description:
      - Comma-separated hosts, domains, addresses and networks, with or without a port, that are reached without any proxy.
      - The variable E(K8S_AUTH_NO_PROXY) gives it, too.
    type: str
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
  persist_config:
    description:
      - Whether renewed tokens of an OIDC provider are written back to the kubeconfig.
      - The variable E(K8S_AUTH_PERSIST_CONFIG) gives it, too.
    type: bool
  impersonate_user:
    description: User to act as. The variable E(K8S_AUTH_IMPERSONATE_USER) gives it, too.
    type: str
  impersonate_groups:
    description: Groups to act as. The variable E(K8S_AUTH_IMPERSONATE_GROUPS) gives them, too, separated by commas.
    type: list
    elements: str
"""
