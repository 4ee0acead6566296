"""What the role mail_relay promises, asked of the running system."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

import probe
from probe import said, until

LOG_UNITS = "slipway-mail-relay@*"
PLAY = probe.ROOT / "molecule/mail_relay/converge.yml"
# As the services of an application run (roles/systemd), as far as it could keep them from a socket.
SANDBOX = (
    "systemd-run --quiet --collect --wait --pipe --uid={user} --property=ProtectSystem=strict --property=PrivateUsers=yes "
    "--property=IPAddressDeny=link-local --property='RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6' "
)
FLASK_MAIL = "/opt/mail/bin/python /opt/mail/send.py {recipient} {subject}"
# An application that asks only whether MAIL_USE_TLS is set.
STARTTLS = (
    'python3 -c \'import os, smtplib; relay = smtplib.SMTP(os.environ["MAIL_SERVER"], int(os.environ["MAIL_PORT"])); relay.starttls(); '
    'relay.sendmail(os.environ["MAIL_DEFAULT_SENDER"], "{recipient}", "Subject: {subject}\\n\\nHello Ada")\''
)
# To an address, and how long the mail is.
BY_HAND = 'python3 -c \'import smtplib; smtplib.SMTP("{}", 24).sendmail("a@b.test", "c@d.test", "x" * {})\''
SECRETS = "s3cret of"

Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def play(host: Host) -> Iterator[Play]:
    """Run the scenario's play again on this server; in the end as it was."""
    again = functools.partial(probe.play, PLAY, f"--limit={host.backend.host}")
    yield again
    assert again().returncode == 0


@pytest.fixture(scope="module", autouse=True)
def _provider(host: Host) -> None:
    """Wait for the provider: a mail that comes too early after a boot would be tried again minutes later."""
    until(lambda: host.run("ss -Hltn sport = :2587").stdout, "the provider listens")


def address(host: Host, name: str) -> str:
    """Return where an application's relay listens."""
    settings = host.file(f"/etc/slipway/mail_relay/{name}/master.cf").content_string
    return next(line.split(":")[0] for line in settings.splitlines() if line.endswith("smtpd"))


def send(host: Host, name: str, *, how: str = FLASK_MAIL, sender: str = "", to: str = "") -> str:
    """Send a mail as an application does; its subject, returned, is in the recipient's address as well.

    A third application's is sent by the user of the first.
    """
    subject = uuid.uuid4().hex
    recipient = to or f"{subject}@mail.test"
    sender = sender or f"noreply@{name}.test"
    # The names and values that tests/test_mail.py asks for.
    mail = {"SERVER": address(host, name), "PORT": "24", "USE_TLS": "0", "DEFAULT_SENDER": sender}
    environment = " ".join(
        f"--setenv={prefix}MAIL_{key}={value}" for key, value in mail.items() for prefix in ("", "FLASK_")
    )
    user = "book" if name == "third" else name
    host.check_output(f"{SANDBOX.format(user=user)} {environment} {how.format(recipient=recipient, subject=subject)}")
    return subject


def events(host: Host) -> list[dict[str, Any]]:
    """Return what the provider was told."""
    return [json.loads(line) for line in host.check_output("cat /opt/provider/events").splitlines()]


def mails(host: Host) -> list[dict[str, Any]]:
    """Return the mails that the provider has."""
    return [event for event in events(host) if event["event"] == "mail"]


def arrived(host: Host, subject: str) -> dict[str, Any] | None:
    """Return the mail that the provider has, by its subject."""
    return next((mail for mail in mails(host) if mail["subject"] == subject), None)


def wait_for(host: Host, subject: str) -> dict[str, Any]:
    """Return a mail when the provider has it."""
    until(lambda: arrived(host, subject), f"{subject} arrives")
    mail = arrived(host, subject)
    assert mail
    return mail


def queue(host: Host, name: str) -> list[dict[str, Any]]:
    """Return what waits."""
    lines = host.check_output("postqueue -c /etc/slipway/mail_relay/%s -j", name).splitlines()
    return [json.loads(line) for line in lines]


def wait_for_reason(host: Host, name: str, subject: str, reason: str) -> None:
    """Wait until a mail waits for a reason."""

    def waits() -> bool:
        recipients = [to for mail in queue(host, name) for to in mail["recipients"]]
        return any(subject in to["address"] and reason in to.get("delay_reason", "") for to in recipients)

    until(waits, reason)


def try_now(host: Host, name: str) -> None:
    """Let a relay try again what waits."""
    host.check_output("postqueue -c /etc/slipway/mail_relay/%s -f", name)


@pytest.mark.after_reboot
@pytest.mark.parametrize("name", ["book", "tides"])
def test_mail_of_an_application_arrives_with_its_sender_and_by_its_provider_s_account(host: Host, name: str) -> None:
    subject = send(host, name)
    mail = wait_for(host, subject)
    assert mail["encrypted"]
    assert mail["user"] == f"{name}@provider"
    assert mail["sender"] == mail["header"] == f"noreply@{name}.test"
    assert mail["recipients"] == [f"{subject}@mail.test"]
    assert mail["text"].strip() == "Hello Ada"
    assert mail["helo"] == f"{name}.{name}.test"


@pytest.mark.one_debian
def test_an_application_may_begin_with_starttls(host: Host) -> None:
    assert wait_for(host, send(host, "book", how=STARTTLS))["sender"] == "noreply@book.test"


@pytest.mark.one_debian
def test_mail_waits_while_the_provider_is_away_and_is_sent_afterwards(host: Host) -> None:
    host.check_output("systemctl stop sink")
    try:
        subject = send(host, "book")
        wait_for_reason(host, "book", subject, "Connection refused")
    finally:
        host.check_output("systemctl start sink")
    until(lambda: host.run("ss -Hltn sport = :2587").stdout, "the provider is back")
    try_now(host, "book")
    wait_for(host, subject)
    until(lambda: queue(host, "book") == [], "nothing waits any more")


@pytest.mark.one_debian
def test_a_provider_with_another_s_certificate_is_told_nothing(host: Host) -> None:
    subject = send(host, "third")
    wait_for_reason(host, "third", subject, "certificate not verified")
    assert not [event for event in events(host) if event["helo"] == "third.third.test"]


@pytest.mark.one_debian
def test_nothing_is_sent_where_starttls_was_taken_out_on_the_way(host: Host) -> None:
    host.check_output("systemctl stop sink; rm -f /opt/provider/stripped")
    sink = "python3 /opt/provider/sink.py /opt/provider/stripped stripped"
    host.check_output(f"systemd-run --quiet --collect --unit=stripped {sink}")
    try:
        until(lambda: host.run("ss -Hltn sport = :2587").stdout, "the attacker listens")
        subject = send(host, "book")
        wait_for_reason(host, "book", subject, "TLS is required, but was not offered")
        assert host.file("/opt/provider/stripped").size == 0
    finally:
        host.check_output("systemctl stop stripped; systemctl start sink")
    until(lambda: host.run("ss -Hltn sport = :2587").stdout, "the provider is back")
    try_now(host, "book")
    wait_for(host, subject)


def test_what_the_provider_refuses_goes_back_to_the_sender_and_no_further(host: Host) -> None:
    before = len(mails(host))
    send(host, "book", to="refused@mail.test")
    until(lambda: len(mails(host)) > before, "the sender is told")
    # Nor is anybody told where the sender is refused too.
    send(host, "book", to="refused@mail.test", sender="refused@book.test")
    until(lambda: queue(host, "book") == [], "nothing waits")
    (bounce,) = mails(host)[before:]
    assert (bounce["sender"], bounce["recipients"]) == ("<>", ["noreply@book.test"])
    assert "nobody has this address" in " ".join(bounce["text"].split())


@pytest.mark.one_debian
def test_a_full_disk_refuses_mail_and_nobody_is_written_to(host: Host) -> None:
    """A mail about each that is refused would fill it further."""
    folder = "/etc/slipway/mail_relay/book"
    before = len(mails(host))
    full = f"postconf -c {folder} -e queue_minfree=1000000000000000 && postfix -c {folder} reload"
    host.check_output(f"cp -p {folder}/main.cf /root/main.cf && {full}")
    attempt = BY_HAND.format(address(host, "book"), 1)
    try:
        # Postfix takes its time to read its settings again.
        until(lambda: "Insufficient system storage" in host.run(attempt).stderr, "a mail is refused")
    finally:
        host.check_output(f"mv /root/main.cf {folder}/main.cf && postfix -c {folder} reload")
    until(lambda: host.run(attempt).succeeded, "it takes mail again")
    wait_for(host, send(host, "book"))
    until(lambda: queue(host, "book") == [], "nothing waits")
    told = [mail for mail in mails(host)[before:] if mail["sender"] not in ("a@b.test", "noreply@book.test")]
    assert told == []


@pytest.mark.one_debian
def test_a_mail_that_is_too_large_is_refused_at_once(host: Host) -> None:
    refused = host.run(BY_HAND.format(address(host, "book"), 1100000))
    assert "552" in refused.stderr, refused


@pytest.mark.after_reboot
def test_nothing_listens_on_the_network_and_nobody_uses_debian_s_own_instance(host: Host) -> None:
    listening = host.check_output(
        "ss --no-header --listening --tcp --numeric | awk '$4 !~ /:(22|2587|2465)$/ {print $4}'"
    )
    assert sorted(listening.split()) == sorted(f"{address(host, name)}:24" for name in ("book", "tides", "third"))
    assert host.run("systemctl is-active postfix").stdout.strip() == "inactive"
    # Otherwise the output of cron's jobs would wait for it without end.
    assert "not allowed" in host.run("echo x | sendmail root").stderr


@pytest.mark.one_debian
def test_the_next_run_finishes_one_that_was_cut_off(host: Host, play: Play) -> None:
    pid = "systemctl show --value --property=MainPID slipway-mail-relay@book"
    before = host.check_output(pid)
    host.check_output("touch /etc/slipway/mail_relay/book/main.cf")
    assert play().returncode == 0
    assert host.check_output(pid) != before


@pytest.mark.one_debian
def test_a_killed_relay_comes_back(host: Host) -> None:
    unit = "slipway-mail-relay@book"
    before = host.check_output("systemctl show --value --property=MainPID %s", unit)
    host.check_output("kill -9 %s", before)
    until(
        lambda: host.check_output("systemctl show --value --property=MainPID %s", unit) not in ("0", before),
        "it is back",
    )
    until(lambda: host.run("ss -Hltn src %s", address(host, "book")).stdout, "it listens")
    wait_for(host, send(host, "book"))


def test_only_root_can_read_the_password(host: Host) -> None:
    found = host.run(
        f"grep -rlF '{SECRETS}' /etc /run /var --exclude-dir=journal --exclude-dir=containers"
    ).stdout.split()
    assert sorted(found) == [f"/etc/slipway/mail_relay/{name}/password" for name in ("book", "third", "tides")]
    assert {host.check_output("stat -c '%%U %%a' %s", path) for path in found} == {"root 600"}
    for path in found:  # as a module's arguments would be there
        coded = host.check_output("base64 --wrap=0 %s", path)
        # sudo logs this very command, hence the second grep.
        assert host.run("journalctl --no-pager | grep -F %s | grep -qv journalctl", coded).rc == 1


@pytest.mark.one_debian
def test_a_postfix_that_somebody_has_set_up_stays_as_it_is(host: Host, play: Play) -> None:
    """And its mail comes at port 25, of every address."""
    host.check_output("cp -p /etc/postfix/main.cf /root/main.cf")
    theirs = "systemctl unmask --quiet postfix && postconf -e inet_interfaces=all myhostname=theirs.test && systemctl start postfix"
    before = host.check_output(f"{theirs} && cat /etc/postfix/main.cf")
    try:
        result = play()
        assert "changed=0" in said(result), said(result)
        host.check_output("systemctl restart slipway-mail-relay@book")
        assert host.file("/etc/postfix/main.cf").content_string.strip() == before
        assert host.check_output("systemctl is-active postfix") == "active"
        assert host.check_output("systemctl show --value --property=LoadState postfix") == "loaded"
        wait_for(host, send(host, "book"))
    finally:
        host.check_output(
            "systemctl stop postfix && systemctl mask --quiet postfix && mv /root/main.cf /etc/postfix/main.cf"
        )


@pytest.mark.one_debian
def test_what_is_disabled_is_gone_but_for_the_mail_that_waits(host: Host, play: Play) -> None:
    host.check_output("rm -rf /var/backups/slipway")
    wait_for_reason(host, "third", send(host, "third"), "certificate not verified")
    before = len(queue(host, "third"))
    result = play("--diff", providers={"third": ""})
    assert result.returncode == 0, said(result)
    assert SECRETS not in said(result)
    found = host.check_output(
        "find /etc /run /var/lib /var/backups \\( -path '*mail*third*' -o -name 'third-mail-*' \\) -prune -print"
    ).split()
    assert len(found) == 1
    assert found[0].startswith("/var/backups/slipway/third-mail-")
    assert host.check_output("stat -c '%%U %%a' %s %s", found[0], str(Path(found[0]).parent)) == "root 700\nroot 700"
    assert host.check_output("find %s ! -user root", found[0]) == ""
    assert host.check_output("find %s/deferred -type f | wc -l", found[0]) == str(before)
    assert host.check_output("systemctl list-units --all --no-legend 'slipway-mail-relay@third*'") == ""
    again = play(providers={"third": ""})
    assert "changed=0" in said(again)
    wait_for(host, send(host, "book"))


@pytest.mark.after_reboot
def test_mail_that_waits_outlives_a_reboot(host: Host) -> None:
    rebooted = (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "rebooted").exists()
    send(host, "third")
    until(lambda: len(queue(host, "third")) == (2 if rebooted else 1), "it waits, and the one of before")
