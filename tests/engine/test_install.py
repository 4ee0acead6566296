"""What the source says of its virtualenv, and of the application in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import hints, install, sandbox, uwsgi_ini

from engine.host import PLAN


def stage(release: Path, hashes: str = "gunicorn==27.0.1\n") -> None:
    """Write what the roles leave next to the code of a release."""
    (release / "hashes.txt").write_text(hashes)


def test_a_source_that_points_at_the_server_s_own_files_is_read_as_its_builder(folder: Path) -> None:
    """What root alone may read is refused to it, and a file that never ends is not begun."""
    code = folder / "code"
    code.mkdir()
    code.chmod(0o755)
    (code / "kernel.txt").symlink_to("/proc/kmsg")
    stage(folder)
    plan = dataclasses.replace(PLAN, server="uwsgi")
    found = sandbox.act_as("nobody", lambda: install.look(code, plan, code))
    assert found["module"] == PLAN.module
    (code / "uwsgi.ini").symlink_to("/etc/shadow")
    with pytest.raises(PermissionError):
        sandbox.act_as("nobody", lambda: install.look(code, plan, code))


@pytest.mark.parametrize(
    ("ini", "module"),
    [
        ("[uwsgi]\nmodule = app.main\n", "app.main:application"),
        ("[uwsgi]\n    module = app.main\n\tcallable = web\n", "app.main:web"),
        (
            "; module = no\n[other]\nmodule = no\n[uwsgi]\n# no\nwsgi-file=app/main.py\ncallable = create(1)\n",
            "app.main:create(1)",
        ),
        ("[uwsgi]\nwsgi-file=/app/main.py\ncallable=app\nchdir=/app\n", "main:app"),
        ("[uwsgi]\nw = site:web\n", "site:web"),
        ("[uwsgi]\nprocesses = 2\n", "main:app"),
        ("", "main:app"),
    ],
)
def test_an_application_s_uwsgi_ini_says_what_uwsgi_serves(ini: str, module: str, tmp_path: Path) -> None:
    (tmp_path / "uwsgi.ini").write_text(ini)
    assert uwsgi_ini.module_of(tmp_path, dataclasses.replace(PLAN, server="uwsgi")) == module
    assert uwsgi_ini.module_of(tmp_path, PLAN) == "main:app"


@pytest.mark.parametrize(
    ("chdir", "said"),
    [
        (
            "/app/web",
            "app_source: its uwsgi.ini has chdir = /app/web, which is not followed. Set app_source_path to that folder of the source (web),",
        ),
        ("/srv/web", "Name the module from the source's folder (module = main), and take chdir out."),
        ("./web", "Set app_source_path to that folder of the source (web),"),
        ("%d/src/web", "(module = src.web.main), and take chdir out."),
        ("%dweb", "Set app_source_path to that folder of the source (web),"),
        ("/application", "chdir = /application, which is not followed. Name the module"),
        ("src/web/", "(module = src.web.main), and take chdir out."),
        ("/app/", ""),
        ("%d", ""),
        ("./", ""),
        (".", ""),
    ],
)
def test_a_folder_that_uwsgi_would_change_to_is_refused(chdir: str, said: str, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    stage(tmp_path)
    (code / "uwsgi.ini").write_text(f"[uwsgi]\nchdir = {chdir}\nmodule = main\n")
    found = install.look(code, dataclasses.replace(PLAN, server="uwsgi"), code)
    assert said in found.get("wrong", "")
    assert bool(said) == ("wrong" in found)
    assert "wrong" not in install.look(code, PLAN, code)


UV, PYTHON = "/opt/uv", "/usr/bin/python3.13"
VENV = f"{UV} venv --relocatable --python {PYTHON} ../.venv"
PINS = f"{UV} --directory .. pip install --requirement hashes.txt"
REST = f"{UV} pip install --verify-hashes --requirement ../requirements.txt"
OVERRIDDEN = f"{REST} --override ../requirements.txt"
SYNC = f"{UV} sync --frozen --inexact --no-default-groups --python {PYTHON}"
PROJECT = '[project]\nname = "site"\nversion = "1"\n'
BACKEND = "[build-system]\nrequires = []\n"
POETRY = f'{BACKEND}[tool.poetry]\nname = "my-site"\n'


@pytest.mark.parametrize(
    ("files", "last"),
    [
        ({}, [f"{OVERRIDDEN} --requirement ../default_requirements.txt"]),
        ({"requirements.txt": ""}, [f"{OVERRIDDEN} --requirement requirements.txt"]),
        ({"requirements.txt": "", "pyproject.toml": "[tool.ruff]\n"}, [f"{OVERRIDDEN} --requirement requirements.txt"]),
        ({"requirements.txt": "", "pyproject.toml": PROJECT}, [f"{OVERRIDDEN} --requirement pyproject.toml"]),
        ({"pyproject.toml": f"{PROJECT}[build-system]\nrequires = []\n"}, [f"{OVERRIDDEN} --editable ."]),
        (
            {"pyproject.toml": f"{PROJECT}{BACKEND}[tool.poetry]\npackage-mode = false\n"},
            [f"{OVERRIDDEN} --requirement pyproject.toml"],
        ),
        ({"setup.py": ""}, [f"{OVERRIDDEN} --editable ."]),
        ({"setup.py": "", "requirements.txt": ""}, [f"{OVERRIDDEN} --requirement requirements.txt"]),
        ({"pyproject.toml": BACKEND, "setup.cfg": ""}, [f"{OVERRIDDEN} --editable ."]),
        ({"pyproject.toml": POETRY}, [f"{OVERRIDDEN} --requirement pyproject.toml"]),
        ({"pyproject.toml": POETRY, "my_site.py": ""}, [f"{OVERRIDDEN} --editable ."]),
        ({"pyproject.toml": POETRY, "requirements.txt": ""}, [f"{OVERRIDDEN} --requirement requirements.txt"]),
        ({"uv.lock": "", "pyproject.toml": PROJECT, "requirements.txt": ""}, [SYNC, REST]),
    ],
)
def test_the_first_kind_of_dependency_file_says_what_is_installed(
    files: dict[str, str], last: list[str], tmp_path: Path
) -> None:
    """After what the app server needs, and so that its version counts and not the application's."""
    (tmp_path / "code").mkdir()
    stage(tmp_path)
    for name, text in files.items():
        (tmp_path / "code" / name).write_text(text)
    commands = [" ".join(command) for command in install.install_commands(tmp_path / "code", UV, PYTHON)]
    assert commands == [VENV, PINS, *last]


def test_where_the_app_server_has_hashes_nothing_of_it_comes_without(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    stage(tmp_path, "gunicorn==27.0.1 --hash=sha256:00\n")
    (tmp_path / "code/uv.lock").touch()
    commands = [" ".join(command) for command in install.install_commands(tmp_path / "code", UV, PYTHON)]
    assert commands == [VENV, f"{PINS} --require-hashes --no-build", SYNC, f"{REST} --no-deps"]


OWN = f"{OVERRIDDEN} --requirement requirements.txt"
NO_COMPILER = "app_packages: a dependency of the application has to be compiled, and the compiler is missing."
OTHER_PYTHON = "app_python: the application needs another Python"


@pytest.mark.parametrize(
    ("command", "output", "said"),
    [
        (PINS, "", "gunicorn_hashes: gunicorn could not be installed"),
        (f"{OVERRIDDEN} --requirement ../default_requirements.txt", "", "app_default_requirements: "),
        (OWN, "", "app_source: "),
        (f"{OVERRIDDEN} --requirement ../app_requirements.txt", "", "app_requirements: "),
        (SYNC, "", "app_source: "),
        (
            f"{UV} pip install --quiet --target /srv/site/build/node-1 --requirement ../node.txt",
            "",
            "app_node_version: ",
        ),
        ("npm ci", "npm error code ENOTFOUND", "app_build: one of its commands failed."),
        ("python -m venv tools", "", "app_build: one of its commands failed."),
        (VENV, "error: No interpreter found for Python 3.99", "app_python: uv cannot find Python "),
        (OWN, "error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'", NO_COMPILER),
        (OWN, "error: command 'x86_64-linux-gnu-g++' failed: No such file or directory", NO_COMPILER),
        (OWN, "main.c:1:10: fatal error: Python.h: No such file or directory", NO_COMPILER),
        (OWN, "error: linker `cc` not found", NO_COMPILER),
        (OWN, "../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]", NO_COMPILER),
        (OWN, "Because the current Python version (3.11.2) does not satisfy Python>=3.14", OTHER_PYTHON),
        (SYNC, "is incompatible with the project's Python requirement: `>=3.14`", OTHER_PYTHON),
        (
            OWN,
            "error: Distribution not found at: file:///srv/site/releases/0/common",
            "app_source: a dependency lies outside",
        ),
        (PINS, "error: command 'gcc' failed: No such file or directory", "gunicorn_hashes: "),
    ],
)
def test_a_failed_install_names_the_variable_to_set(command: str, output: str, said: str) -> None:
    assert hints.advice(command.split(), PLAN, output).startswith(said)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "found no uv.lock, pyproject.toml, requirements.txt or setup.py with dependencies: installed only what"),
        ({"Pipfile": ""}, "names, Flask where nothing else is set. For its Pipfile: pipenv requirements > "),
        ({"pyproject.toml": POETRY, "poetry.lock": ""}, "app_source: its poetry.lock is not read; "),
        ({"pyproject.toml": POETRY, "poetry.lock": "", "requirements.txt": ""}, ""),
        ({"pyproject.toml": PROJECT, "poetry.lock": "", "uv.lock": ""}, ""),
        ({"pyproject.toml": PROJECT}, ""),
        (
            {"pyproject.toml": PROJECT, "uwsgi.ini": ""},
            "its uwsgi.ini is not read under gunicorn. Set app_server to uwsgi; or",
        ),
    ],
)
def test_a_file_with_dependencies_that_does_not_count_is_named(
    files: dict[str, str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    stage(tmp_path)
    for name, text in files.items():
        (tmp_path / "code" / name).write_text(text)
    note = install.look(tmp_path / "code", PLAN, tmp_path / "code")["note"]
    assert said in note
    assert bool(said) == bool(note)


def test_what_can_change_the_virtualenv_is_known_by_its_path_and_content(tmp_path: Path) -> None:
    """And nothing else is, so that most deploys begin with a copy of the virtualenv before."""
    (tmp_path / "code/vendor").mkdir(parents=True)
    seen = {first := install.dependencies(tmp_path / "code")}
    for name in ("requirements.txt", "setup.py", "pyproject.toml", "vendor/own.whl", "vendor/more.txt"):
        (tmp_path / "code" / name).write_text("")
        seen.add(install.dependencies(tmp_path / "code"))
    (tmp_path / "code/requirements.txt").write_text("flask")
    seen.add(last := install.dependencies(tmp_path / "code"))
    assert len(seen) == 7
    (tmp_path / "code/main.py").write_text("")
    (tmp_path / "secret.txt").write_text("flask")
    (tmp_path / "code/secret.txt").symlink_to("../secret.txt")
    assert install.dependencies(tmp_path / "code") == last != first


@pytest.mark.parametrize(
    ("name", "content", "server"),
    [
        ("pyproject.toml", b"[project", "gunicorn"),
        ("pyproject.toml", b"[build-system]\n[tool.poetry]\npackage-mode = false\n", "gunicorn"),
        ("uwsgi.ini", b"[uwsgi]\nmodule = \xff\n", "uwsgi"),
    ],
)
def test_a_file_of_the_source_that_cannot_be_read_is_named(
    name: str, content: bytes, server: str, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    stage(tmp_path)
    (tmp_path / "code" / name).write_bytes(content)
    found = install.look(tmp_path / "code", dataclasses.replace(PLAN, server=server), tmp_path / "code")
    assert found["wrong"].startswith(f"app_source: its {name} cannot be read: ")
