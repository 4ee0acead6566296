#!/usr/bin/python
"""Request a page of a site from its web server; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_request
short_description: Request a page of a site from the web server on this host
description:
  - Asks for the host by its name whatever DNS says of it, and so works before DNS leads to this server.
  - It follows a redirect to HTTPS on the same host, to O(tls_address). Other redirects are answers, and so is one by the application
    where the host has no HTTPS there. Where O(redirects_to) is set, any other answer is a failure.
  - A certificate is not judged, as one that signs itself or is of a CA for tests serves as well here.
extends_documentation_fragment: [slipway.flask.attributes]
options:
  address: {description: "Where the server listens for HTTP, such as C(127.0.0.1:80).", type: str, required: true}
  tls_address:
    description: Where it has HTTPS for O(host). Empty where it has none, so that a redirect there can only be the application's.
    type: str
    default: ""
  host: {description: The host name to ask for., type: str, required: true}
  path: {description: "The path, with a query where there is one.", type: str, required: true}
  redirects_to:
    description: The URL that O(path) follows in the redirect, of a site that only redirects.
    type: str
    default: ""
  timeout: {description: Seconds to wait for each answer., type: float, default: 30}
attributes:
  check_mode: {support: none}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Request the front page
  slipway.flask.edge_request:
    address: 127.0.0.1:80
    tls_address: 127.0.0.1:443
    host: www.example.org
    path: /
"""

RETURN = r"""
status: {description: The status of the answer., type: int, returned: success}
https: {description: Whether it came over HTTPS., type: bool, returned: success}
location: {description: Its header Location; empty where it has none., type: str, returned: success}
retry_after: {description: Its header Retry-After; empty where it has none., type: str, returned: success}
"""

import http.client
import ssl
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

REDIRECTS = (301, 302, 303, 307, 308)
# How an edge redirects. Any other is the application's, which may want HTTPS where the edge has none, or none yet.
EDGES_OWN = 308


class TlsConnection(http.client.HTTPSConnection):
    """HTTPS to an address, for a host that DNS does not lead there."""

    def __init__(self, address: str, host: str, timeout: float) -> None:
        self.unverified = ssl._create_unverified_context()  # noqa: S323 -- see the description
        super().__init__(address, timeout=timeout, context=self.unverified)
        self.named = host

    def connect(self) -> None:
        """Connect, and say which host is meant."""
        http.client.HTTPConnection.connect(self)
        self.sock = self.unverified.wrap_socket(self.sock, server_hostname=self.named)


def ask(connection: http.client.HTTPConnection, host: str, path: str) -> tuple[int, str, str]:
    """Return the status of an answer, where it redirects to, and its Retry-After. Raises OSError, HTTPException."""
    try:
        connection.request("GET", path, headers={"Host": host, "User-Agent": "slipway-health"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location", ""), answer.getheader("Retry-After", "")
    finally:
        connection.close()


def look(address: str, tls_address: str, host: str, path: str, timeout: float) -> dict[str, Any]:
    """Return the answer of a site, over HTTPS where it wants that. Raises OSError, ValueError, HTTPException."""
    status, location, retry_after = ask(http.client.HTTPConnection(address, timeout=timeout), host, path)
    target, named = urlsplit(location), host.strip("[]").lower()
    https = tls_address != "" and status in REDIRECTS and target.scheme == "https" and target.hostname == named
    if https:
        try:
            status, location, retry_after = ask(TlsConnection(tls_address, named, timeout), target.netloc, path)
        # Nothing listens there, or for other sites alone: such a connection is refused, or closed once it is encrypted.
        except (ConnectionError, ssl.SSLError) as error:
            if status == EDGES_OWN:
                raise OSError(
                    f"it redirects to {location}, as the web server does ({status}), and there: {error}. An application that does this by "
                    "itself should use 301 or 302, or leave it to the web server"
                ) from error
            https = False
    return {"status": status, "https": https, "location": location, "retry_after": retry_after}


def wrong_redirect(answer: dict[str, Any], host: str, path: str, redirects_to: str) -> str:
    """Return what is wrong with the answer of a site that only redirects; empty where it leads where it should."""
    wanted = redirects_to.rstrip("/") + path
    if not redirects_to or answer["location"] == wanted:
        return ""
    got = f"redirects to {answer['location']}" if answer["location"] else f"answers {answer['status']}"
    return f"edge_redirect_to: {host}{path} should redirect to {wanted}, and {got}. Run site.yml, which configures the edge."


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "address": {"type": "str", "required": True},
            "tls_address": {"type": "str", "default": ""},
            "host": {"type": "str", "required": True},
            "path": {"type": "str", "required": True},
            "redirects_to": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 30},
        }
    )
    params = module.params
    redirects_to = params.pop("redirects_to")
    try:
        answer = look(**params)
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a path that is not ASCII
        said = str(error) or type(error).__name__
        module.fail_json(msg=f"{params['address']}, {params['host']}{params['path']}: no answer ({said})")
    if wrong := wrong_redirect(answer, params["host"], params["path"], redirects_to):
        module.fail_json(msg=wrong)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
