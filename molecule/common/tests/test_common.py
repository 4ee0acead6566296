"""The promises of the role common, asked of the running system."""

import json

import pytest
from testinfra.host import Host


@pytest.mark.parametrize("package", ["python3-apt", "sudo", "tzdata", "acl", "zstd"])
def test_packages_of_the_role_and_of_the_play_are_installed(host: Host, package: str) -> None:
    assert host.package(package).is_installed


# Ansible installs python3-apt by itself first, as its apt module cannot work without.
def test_all_other_packages_came_in_one_transaction(host: Host) -> None:
    history = host.file("/var/log/apt/history.log").content_string
    commands = [line for line in history.splitlines() if line.startswith("Commandline:")]
    with_packages = [line for line in commands if "zstd" in line]
    assert len(with_packages) == 1, history
    assert "acl=" in with_packages[0]


def test_nothing_came_that_is_merely_recommended(host: Host) -> None:
    # tzdata, acl and zstd recommend nothing; python3-apt recommends lsb-release.
    assert not host.package("lsb-release").is_installed


def test_package_lists_are_there(host: Host) -> None:
    assert "Candidate:" in host.check_output("apt-cache policy nginx")


@pytest.mark.after_reboot
def test_server_keeps_the_time_of_its_zone(host: Host) -> None:
    assert host.check_output("timedatectl show --property=Timezone --value") == "Europe/Lisbon"
    # Winter and summer time of Lisbon, as a program that starts now sees them.
    assert host.check_output("date --date=@1768392000 +%Z") == "WET"
    assert host.check_output("date --date=@1784116800 +%Z") == "WEST"


def test_root_can_act_as_another_user_without_a_password(host: Host) -> None:
    assert host.check_output("sudo --non-interactive --user=nobody id -un") == "nobody"


@pytest.mark.after_reboot
def test_every_service_started(host: Host) -> None:
    units = json.loads(host.check_output("systemctl list-units --failed --output=json"))
    assert [unit["unit"] for unit in units] == []
