"""Mail servers of a provider, which keep what they are told in a file, a line of JSON for each event: sink.py FILE MODE.

MODE is `tls`: port 2587 with STARTTLS and port 2465 with TLS from the beginning, both with a password; or `stripped`: port 2587 as
an attacker on the way makes it, who takes STARTTLS out of the answer. Who is called refused is not taken.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

ACCOUNTS = {"book@provider": "s3cret of #book", "tides@provider": "s3cret of tides"}
FOLDER = Path("/opt/provider")


class Provider:
    """What is done at each step of a session."""

    def __init__(self, events: Path) -> None:
        """Keep what happens in a file."""
        self.events = events

    def keep(self, server: SMTP, session: Session, **event: Any) -> None:
        """Write down an event."""
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        with self.events.open("a") as file:
            file.write(json.dumps({"encrypted": encrypted, "helo": session.host_name, **event}) + "\n")

    async def handle_MAIL(  # noqa: N802 # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a sender."""
        self.keep(server, session, event="MAIL")
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient."""
        if address.startswith("refused@"):
            return "550 5.1.1 nobody has this address"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 # aiosmtpd's name
        """Take a mail."""
        mail = message_from_bytes(bytes(envelope.content or b""), policy=policy.default)
        text = mail.get_body(("plain",))
        self.keep(
            server,
            session,
            event="mail",
            user=session.auth_data,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            header=mail["From"],
            subject=mail["Subject"],
            text=text.get_content() if text else "",
        )
        return "250 OK"

    def log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Check a password."""
        user, password = data.login.decode(), data.password.decode()
        self.keep(server, session, event="AUTH", user=user)
        return AuthResult(success=ACCOUNTS.get(user) == password, auth_data=user)


async def main(events: str, mode: str) -> None:
    """Serve until the end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "relay.pem", FOLDER / "relay.key")
    provider = Provider(Path(events))
    Path(events).touch()
    loop = asyncio.get_running_loop()
    if mode == "stripped":
        await loop.create_server(lambda: SMTP(provider, loop=loop), "127.0.0.1", 2587)
    else:
        login = {"authenticator": provider.log_in, "auth_required": True}
        await loop.create_server(
            lambda: SMTP(provider, loop=loop, tls_context=context, require_starttls=True, **login), "127.0.0.1", 2587
        )
        await loop.create_server(
            lambda: SMTP(provider, loop=loop, auth_require_tls=False, **login), "127.0.0.1", 2465, ssl=context
        )
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
