#!/usr/bin/python
"""Request a page of a site from its web server; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_request
short_description: Request a page of a site from the web server on this host
description:
  - Asks for the host by its name whatever DNS says of it, and so works before DNS leads to this server.
  - Where the answer is a redirect to HTTPS on the same host, it asks there too, at O(tls_address). Otherwise a redirect is an answer, and
    so is one to HTTPS where the host has none yet, which is the application's.
  - It fails where the web server does not answer, answers with an error (a status from 500), or not with O(redirects_to). 503 with
    Retry-After is the page of maintenance, and no error.
  - A certificate is not judged, as one that signs itself or is of a CA for tests serves as well here.
extends_documentation_fragment: [slipway.flask.attributes]
options:
  edge: {description: "What the web server is called in messages, such as C(nginx on www1).", type: str, required: true}
  address: {description: "Where the server listens for HTTP, such as C(127.0.0.1:80).", type: str, required: true}
  tls_address:
    description: Where it may have HTTPS for O(host). Empty where it has none.
    type: str
    default: ""
  tls_expected: {description: Whether it has HTTPS there for certain., type: bool, default: false}
  host: {description: The host name to ask for., type: str, required: true}
  path: {description: "The path, with a query where there is one.", type: str, required: true}
  redirects_to:
    description: The URL that O(path) follows in the redirect, of a site that only redirects.
    type: str
    default: ""
  timeout: {description: Seconds to wait for each answer., type: float, default: 30}
  attempts: {description: "How often it asks, a second after each failure.", type: int, default: 1}
  release_is_live:
    description: Whether a release has the traffic already, and nothing but it was to be changed. Then what would be a failure is a warning.
    type: bool
    default: false
attributes:
  check_mode: {support: none}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Request the front page
  slipway.flask.edge_request:
    edge: nginx on www1
    address: 127.0.0.1:80
    tls_address: 127.0.0.1:443
    host: www.example.org
    path: /
"""

RETURN = r"""
problem: {description: What the warning says; empty where all is well., type: str, returned: success}
status: {description: The status of the answer., type: int, returned: when it answers}
https: {description: Whether it came over HTTPS., type: bool, returned: when it answers}
location: {description: Its header Location; empty where it has none., type: str, returned: when it answers}
retry_after: {description: Its header Retry-After; empty where it has none., type: str, returned: when it answers}
"""

import http.client
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

REDIRECTS = (301, 302, 303, 307, 308)


class UnansweredError(Exception):
    """A site redirects to HTTPS, and does not answer there; says where it redirects to, which address was asked, and why."""


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


def look(params: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of a site, over HTTPS where it wants that. params: the module's.

    Raises UnansweredError; of HTTP OSError, ValueError (a path that is not ASCII), HTTPException.
    """
    tls_address, host, path, timeout = (params[name] for name in ("tls_address", "host", "path", "timeout"))
    status, location, retry_after = ask(http.client.HTTPConnection(params["address"], timeout=timeout), host, path)
    target, named = urlsplit(location), host.strip("[]").lower()
    https = tls_address != "" and status in REDIRECTS and target.scheme == "https" and target.hostname == named
    if https:
        try:
            status, location, retry_after = ask(TlsConnection(tls_address, named, timeout), target.netloc, path)
        # Nothing listens there, or for other sites alone: such a connection is refused, or closed once it is encrypted.
        except (OSError, http.client.HTTPException) as error:
            if params["tls_expected"] or not isinstance(error, ConnectionError | ssl.SSLError):
                raise UnansweredError(
                    f"redirects to {location}, but does not answer at {tls_address} ({error})"
                ) from error
            https = False
    return {"status": status, "https": https, "location": location, "retry_after": retry_after}


def wrong_answer(answer: dict[str, Any], params: dict[str, Any]) -> str:
    """Return what is wrong with the answer of a site; empty where it is well. params: the module's."""
    page, redirects_to = params["host"] + params["path"], params["redirects_to"]
    wanted = redirects_to.rstrip("/") + params["path"]
    if redirects_to and answer["location"] != wanted:
        got = f"redirects to {answer['location']}" if answer["location"] else f"answers {answer['status']}"
        return (
            f"edge_redirect_to: {page} should redirect to {wanted}, and {got}. Run site.yml, which configures the edge."
        )
    if answer["status"] >= 500 and not (answer["status"] == 503 and answer["retry_after"]):
        return f"{params['edge']} answers {page} with {answer['status']}."
    return ""


def attempt(params: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the answer of a site, and what is wrong with it or with the lack of one. params: the module's."""
    try:
        answer = look(params)
    except UnansweredError as error:
        return {}, f"{params['edge']} {error}. Run site.yml, which configures the edge."
    except (OSError, ValueError, http.client.HTTPException) as error:
        said = str(error) or type(error).__name__
        return (
            {},
            f"{params['edge']} does not answer for {params['host']}{params['path']} at {params['address']} ({said}).",
        )
    return answer, wrong_answer(answer, params)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "edge": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "tls_address": {"type": "str", "default": ""},
            "tls_expected": {"type": "bool", "default": False},
            "host": {"type": "str", "required": True},
            "path": {"type": "str", "required": True},
            "redirects_to": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 30},
            "attempts": {"type": "int", "default": 1},
            "release_is_live": {"type": "bool", "default": False},
        }
    )
    params = module.params
    answer, problem = attempt(params)
    for _ in range(params["attempts"] - 1):
        if not problem:
            break
        time.sleep(1)  # the edge may be starting
        answer, problem = attempt(params)
    if problem and not params["release_is_live"]:
        module.fail_json(msg=problem, **answer)
    if problem:
        problem = f"The release is live, but visitors may not see it. {problem}"
        module.warn(problem)
    module.exit_json(problem=problem, **answer)


if __name__ == "__main__":
    main()
