"""What is said of variables before anything changes."""

from __future__ import annotations

import re
from collections.abc import Collection

import pytest
import yaml
from ansible_collections.slipway.flask.plugins.action import validate_variables
from ansible_collections.slipway.flask.plugins.plugin_utils import container_templates, forms, values

from plugin import ROOT


def test_a_variable_that_has_to_be_set_is_named_with_what_it_is() -> None:
    options = validate_variables.options_of(ROOT / "roles", "app")
    (sentence,) = validate_variables.missing({"app_name": "guestbook"}, options)
    assert sentence.startswith("app_source: it is not set. Where the application is; a folder on the control machine")


ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
KNOWN = {"edge"}.union(*(validate_variables.options_of(ROOT / "roles", role) for role in ROLES))


def judge(*names: str, own: Collection[str] = ()) -> tuple[list[str], list[str]]:
    shared = validate_variables.shared_by(ROOT / "roles")
    known = validate_variables.Known(KNOWN, {"state", "remove", "logs_lines"}, ROLES, shared)
    return validate_variables.judge(names, known, own)


@pytest.mark.parametrize(
    ("name", "meant"),
    {
        "app_modul": "app_module",
        "ap_module": "app_module",
        "App_Module": "app_module",
        "appp_module": "app_module",
        "pap_name": "app_name",
        "ngnix_gzip": "nginx_gzip",
        "ngnx_gzip": "nginx_gzip",
        "nginx_gizp": "nginx_gzip",
        "posgresql_settings": "postgresql_settings",
        "postgresql_setings": "postgresql_settings",
        "appdomains": "app_domains",
        "app_domain": "app_domains",
        "Edge": "edge",
        "egde": "edge",
        "edges": "edge",
        "gunicorn_worker": "gunicorn_workers",
    }.items(),
)
def test_a_misspelt_name_is_refused_with_the_one_that_is_meant(name: str, meant: str) -> None:
    said = f"{name}: unknown variable; did you mean {meant}? If it is your own, list it in slipway_own_variables."
    assert judge(name) == ([said], [])


@pytest.mark.parametrize(
    ("name", "now"),
    {
        "nginx_public_ports": "edge_public_ports",
        "apache_static_index": "edge_static_index",
        "systemd_memory_max": "process_manager_memory_max",
        "supervisor_writable_dirs": "process_manager_writable_dirs",
        "gunicorn_group": "app_server_group",
    }.items(),
)
def test_a_variable_that_all_roles_of_a_kind_have_is_named(name: str, now: str) -> None:
    assert judge(name) == ([f"{name}: its new name is {now}. If it is your own, list it in slipway_own_variables."], [])


HERE, COMMON = container_templates.HERE, container_templates.COMMON
ROWS = [
    row.split("|")
    for row in (ROOT / "docs/coming-from-a-container-template.md").read_text().splitlines()
    if row.startswith("|")
]
# Of the page's first columns, and no variables of a template.
DOCKERFILE = "FROM COPY RUN ENV VOLUME EXPOSE HEALTHCHECK CMD ENTRYPOINT"
FLASK_S = "FLASK_DEBUG"  # which the application finds in app_env, as Flask has it


def test_each_variable_that_the_page_names_is_answered() -> None:
    named = {name for row in ROWS for name in re.findall(r"`([A-Z][A-Z0-9_]+)\b", row[1])}
    assert named == {*HERE, *COMMON, *DOCKERFILE.split(), FLASK_S}


@pytest.mark.parametrize(("name", "here"), (HERE | COMMON).items())
def test_a_variable_of_a_container_template_is_answered_with_what_is_set_here(name: str, here: str) -> None:
    """It is what the table in docs/ says, which those see who come from there. A common name may be the user's: a warning."""
    wrong, strange = judge(name)
    (said,) = strange if name in COMMON else wrong
    assert len(wrong + strange) == 1
    assert said.startswith(f"{name}: container templates have it, and here it has no effect. Slipway has {here} (")
    assert judge(name, own=[name]) == ([], [])
    variable, _, place = here.partition(" ")
    assert any(f"`{name}" in row[1] and variable in row[3] for row in ROWS if len(row) > 3)
    assert place or variable in KNOWN


def test_one_among_the_application_s_settings_is_a_warning() -> None:
    """An application may read LISTEN_PORT itself. It may well read PORT."""
    (sentence,) = container_templates.advice_on_settings(["MAIL_SERVER", "LISTEN_PORT", "PORT"])
    assert sentence.startswith(
        "app_env.LISTEN_PORT: container templates have it, and here it has no effect. Slipway has nginx_listen"
    )


# Variables of roles that many use with Slipway, and of a user's own hooks and hosts.
FOREIGN = """
    app_version app_user app_home app_port app_release_notes app_root common_ssh_port common_packages_extra nginx_vhosts nginx_user
    nginx_upstreams nginx_error_log nginx_remove_default_vhost nginx_worker_connections_max systemd_timesyncd_servers systemd_units
    postgresql_users postgresql_version postgresql_hba_entries apache_vhosts apache_mods_enabled
    my_hook slack_webhook hook_url http_proxy security_ssh_port firewall_allowed_tcp_ports certbot_admin_email wedge bridge
    stage states stat remote removed state logs_line apt_packages opt_packages api_packages api_name api_env api_module api_domains
    app_name2 app_env2 docker_users deploy_user domain domains site sites environment_name vault_mail_password backup_dir
"""


@pytest.mark.parametrize("name", FOREIGN.split())
def test_a_name_of_somebody_else_s_is_let_be(name: str) -> None:
    wrong, strange = judge(name)
    assert wrong == []
    warning = f"{name} is not a variable of Slipway. If it is your own, list it in slipway_own_variables."
    assert strange == ([warning] if name.split("_")[0] in ROLES else [])


def test_what_a_user_says_is_the_user_s_gets_no_word() -> None:
    assert judge("ap_module", "nginx_vhosts", own=["ap_module", "nginx_v*"]) == ([], [])


def test_no_two_variables_of_the_kit_are_taken_for_each_other() -> None:
    """One that is misspelt could be either; that both exist is what counts."""
    assert judge(*KNOWN) == ([], [])


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("abc", "abc", 0),
        ("abc", "acb", 1),
        ("abc", "ab", 1),
        ("abc", "xbc", 1),
        ("ca", "abc", 3),
        ("abcd", "wxyz", 3),
        ("", "abc", 3),
    ],
)
def test_steps_from_one_word_to_another_are_counted_as_far_as_they_matter(one: str, other: str, steps: int) -> None:
    assert validate_variables.edits(one, other, 2) == steps


def test_what_is_said_of_a_value_s_form_is_about_a_variable_that_exists() -> None:
    named = {name.partition(".")[0] for name in (*forms.FORMS, *forms.NAMES, *forms.SECRET)}
    assert named | forms.SEVERAL_LINES | forms.NULL | forms.ONE_EACH | forms.ANYTHING <= KNOWN


def test_an_environment_s_templates_are_found_for_every_role_that_takes_some() -> None:
    shared = validate_variables.shared_by(ROOT / "roles")
    wiring = yaml.safe_load((ROOT / "playbooks/roles/wiring/vars/main.yml").read_text())
    takers = {name.removesuffix("_templates") for name in KNOWN if name.endswith("_templates")}
    assert "nginx" in takers
    assert {f"{shared.get(role, role)}_templates" for role in takers} <= set(wiring)


def test_every_variable_of_the_wiring_is_some_role_s() -> None:
    known = {
        name for role in (ROOT / "roles").iterdir() for name in validate_variables.options_of(ROOT / "roles", role.name)
    }
    lines = (ROOT / "playbooks/roles/wiring/vars/main.yml").read_text().splitlines()
    wired = [line.partition(":")[0] for line in lines if line[:1].isalpha()]
    assert len(wired) > 10
    assert set(wired) <= known


SECRETS: list[tuple[str, object, str]] = [
    ("app_env", {"KEY": "hunter2\x07"}, "app_env: KEY has a line break or another control character."),
    ("app_env", {"KEY:hunter2": None}, "app_env: KEY has no value, as no space follows the colon. Write NAME: value."),
    ("app_env", {"KEY:hunter2\n": "x"}, 'app_env: "KEY" is not a name.'),
    ("mail_relay_password", "hunter2\n", "mail_relay_password: it has a line break or another control character."),
    *(
        ("edge_paths", [{"path": "/admin", "users": users}], f"edge_paths: entry 1: users: {said}")
        for users, said in (
            ({"ada": "hunter2\n"}, "ada has a line break or another control character."),
            ({"ada:hunter2": None}, "ada has no value, as no space follows the colon."),
        )
    ),
    ("edge_paths", [{"path": "/", "users": "ada:hunter2"}], "edge_paths: entry 1: users is not a dictionary"),
    ("edge_paths", ["ada:hunter2"], "edge_paths: entry 1 is not a dictionary"),
    ("edge_paths", "/admin ada:hunter2", "edge_paths: it is not a list of entries, such as - {path: …}."),
]


@pytest.mark.parametrize(("name", "value", "said"), SECRETS)
def test_what_is_wrong_with_a_secret_is_said_without_it(name: str, value: object, said: str) -> None:
    options = {
        key: option for role in ROLES for key, option in validate_variables.options_of(ROOT / "roles", role).items()
    }
    (sentence,) = values.complaints(name, value, options[name])
    assert sentence.startswith(said)
    assert "hunter2" not in sentence


def test_what_is_not_secret_in_the_same_variable_is_shown() -> None:
    options = validate_variables.options_of(ROOT / "roles", "edge")
    (sentence,) = values.complaints("edge_paths", [{"path": "/a\n"}], options["edge_paths"])
    assert sentence.startswith('edge_paths: entry 1: path: "/a\\n" has a line break')
