"""The clock of this server, by which certificates begin and end, against the CA's."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import ssl
import time
import urllib.error
import urllib.request

from sites import NotAskedError, Site

# Let's Encrypt dates a certificate back by an hour, as clocks differ by so much (https://letsencrypt.org/docs/faq/).
MOST_SECONDS = 3600
ANSWER_SECONDS = 30


class WrongClockError(NotAskedError):
    """This server's clock is not to be relied on."""


def seconds_ahead(site: Site) -> float:
    """Return how far the clock is ahead of the CA's (Date, RFC 9110, 6.6.1); 0 where the CA does not say."""
    # With a wrong clock every certificate looks as if it had ended, or not begun: nobody is judged here. Whoever lies can only
    # keep the CA from being asked, as whoever cuts the line can.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    said = None
    try:
        # The role lets nothing but https:// through.
        with urllib.request.urlopen(site.settings["server"], timeout=ANSWER_SECONDS, context=context) as answer:  # noqa: S310
            said = answer.headers["Date"]
    except urllib.error.HTTPError as error:
        said = error.headers["Date"]
    except (OSError, http.client.HTTPException):
        return 0  # certbot says it better
    with contextlib.suppress(TypeError, ValueError):
        return time.time() - email.utils.parsedate_to_datetime(said).timestamp()
    return 0


def check(site: Site) -> None:
    """See to it that the clock is right before the CA is asked. Raises WrongClockError.

    With one that is ahead, a new certificate would be due at once, and again at each run of the timer; with one that is behind,
    it would end before it is renewed.
    """
    ahead = seconds_ahead(site)
    if abs(ahead) > MOST_SECONDS:
        minutes = round(abs(ahead) / 60)
        days, rest = divmod(minutes, 24 * 60)
        long = f"{days} days and {rest // 60} h" if days else f"{rest // 60} h and {rest % 60} min"
        raise WrongClockError(
            f"The clock of this server is {long} {'ahead of' if ahead > 0 else 'behind'} the CA's, and so "
            "wrong about when a certificate ends: the CA was not asked. Set the clock, and have it kept right (timedatectl set-ntp true)."
        )
