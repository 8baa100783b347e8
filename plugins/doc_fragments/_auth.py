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
  - The connection options and environment variables have the same names as in C(kubernetes.core), so C(module_defaults)
    and AWX credentials work unchanged.
  - The AWX credential type C(OpenShift or Kubernetes API Bearer Token) disables certificate verification when it
    contains no CA. The modules warn about it.
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
      - Can also be specified with the environment variable E(K8S_AUTH_KUBECONFIG).
    type: raw
  context:
    description: Context of the kubeconfig. Can also be specified with the environment variable E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - URL of the API server. It overrides the URL in the kubeconfig, whose C(tls-server-name) is then ignored.
      - Can also be specified with the environment variable E(K8S_AUTH_HOST).
    type: str
  api_key:
    description: Bearer token. Can also be specified with the environment variable E(K8S_AUTH_API_KEY).
    type: str
  username:
    description: Username for basic authentication. Can also be specified with the environment variable
      E(K8S_AUTH_USERNAME).
    type: str
  password:
    description: Password for basic authentication. Can also be specified with the environment variable
      E(K8S_AUTH_PASSWORD).
    type: str
  client_cert:
    description: Path of a client certificate. Can also be specified with the environment variables
      E(K8S_AUTH_CLIENT_CERT) and E(K8S_AUTH_CERT_FILE).
    type: path
    aliases: [cert_file]
  client_key:
    description: Path of the private key of the client certificate. Can also be specified with the environment variables
      E(K8S_AUTH_CLIENT_KEY) and E(K8S_AUTH_KEY_FILE).
    type: path
    aliases: [key_file]
  ca_cert:
    description:
      - Path of the CA certificates used to verify the certificate of the API server. If it is omitted and the
        kubeconfig contains none, the CA certificates of the system are used, or those in the file named by the
        environment variable E(SSL_CERT_FILE).
      - Can also be specified with the environment variables E(K8S_AUTH_CA_CERT) and E(K8S_AUTH_SSL_CA_CERT).
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether to verify the certificate of the API server. It is verified unless this option or the kubeconfig
        disables it.
      - Can also be specified with the environment variables E(K8S_AUTH_VALIDATE_CERTS) and E(K8S_AUTH_VERIFY_SSL).
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - URL of a proxy. A username and password in the URL are sent to the proxy and never displayed.
      - If omitted, the C(proxy-url) of the kubeconfig is used, then E(HTTPS_PROXY) and E(NO_PROXY). E(NO_PROXY) applies
        only to the proxy from E(HTTPS_PROXY), which is also bypassed for connections to the local host.
      - SOCKS proxies require the Python package C(PySocks).
      - Can also be specified with the environment variable E(K8S_AUTH_PROXY).
    type: str
  no_proxy:
    description:
      - Comma-separated hosts, domains, addresses and networks, with or without a port, that are reached without any
        proxy.
      - Can also be specified with the environment variable E(K8S_AUTH_NO_PROXY).
    type: str
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
  persist_config:
    description:
      - Whether to write renewed tokens of an OIDC provider back to the kubeconfig.
      - Can also be specified with the environment variable E(K8S_AUTH_PERSIST_CONFIG).
    type: bool
  impersonate_user:
    description: User to impersonate. Can also be specified with the environment variable E(K8S_AUTH_IMPERSONATE_USER).
    type: str
  impersonate_groups:
    description: Groups to impersonate. Can also be specified with the environment variable
      E(K8S_AUTH_IMPERSONATE_GROUPS), separated by commas.
    type: list
    elements: str
"""
