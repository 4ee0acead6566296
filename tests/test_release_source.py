"""What goes into a release's archive, and what stays on the control machine."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.plugin_utils import files, locking, packing
from ansible_collections.slipway.flask.plugins.plugin_utils.siblings import needs_siblings


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder with a name and an address."""
    identity = [
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.com",
        "-c",
        "init.defaultBranch=main",
    ]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an application's folder that is not a repository."""
    application = tmp_path / "application"
    (application / "static").mkdir(parents=True)
    (application / "main.py").write_text("app = 1\n")
    (application / "static/style.css").write_text("body {}\n")
    (application / "tool.sh").write_text("#!/bin/sh\n")
    (application / "tool.sh").chmod(0o750)
    (application / "link").symlink_to("main.py")
    (application / "instance.db").write_text("local\n")
    (application / ".gitignore").write_text("*.db\n")
    return application


@pytest.fixture
def repository(folder: Path) -> Path:
    """Return a repository with two commits; the first is tagged v1, the work tree has an uncommitted change."""
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")
    git(folder, "tag", "v1")
    (folder / "main.py").write_text("app = 2\n")
    git(folder, "commit", "--quiet", "--all", "--message", "two")
    (folder / "main.py").write_text("app = 3\n")
    return folder


def content(packed: bytes, name: str) -> str:
    """Return the text of a file in an archive."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        stream = archive.extractfile(name)
        assert stream
        return stream.read().decode()


def names(packed: bytes) -> list[str]:
    """Return the names in an archive."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return archive.getnames()


def test_a_folder_that_gitignore_names_itself_is_taken_whole(repository: Path) -> None:
    """Such as the output of a build, which is a site of its own."""
    (repository / ".gitignore").write_text("/dist/\n*.tmp\n")
    (repository / "dist").mkdir()
    for name in ("index.html", "a.tmp"):
        (repository / "dist" / name).write_text(name)
    assert names(packing.pack(str(repository / "dist")).archive) == ["a.tmp", "index.html"]
    assert "dist/index.html" not in names(packing.pack(str(repository)).archive)


def test_a_folder_goes_without_what_gitignore_names(folder: Path) -> None:
    assert names(packing.pack(str(folder)).archive) == [
        ".gitignore",
        "link",
        "main.py",
        "static/style.css",
        "tool.sh",
    ]


NO_RELEASE_NEEDS = {
    ".env": ".env* (2 files)",
    "config/.env.production": ".env* (2 files)",
    "env/pyvenv.cfg": "env/ (2 files)",
    "env/lib/site.py": "env/ (2 files)",
    "venv/lib/site.py": "venv/lib/site.py",
    "front/node_modules/a/index.js": "node_modules (2 files)",
    "front/node_modules/b/index.js": "node_modules (2 files)",
    "__pycache__/main.cpython-313.pyc": "__pycache__/main.cpython-313.pyc",
    ".pytest_cache/README.md": ".pytest_cache/README.md",
    "instance/dev.sqlite3": "*.sqlite* (2 files)",
    "instance/dev.sqlite3-wal": "*.sqlite* (2 files)",
    "data/:cities.db": "data/:cities.db",
    ".dev-postgresql/PG_VERSION": ".dev-postgresql/PG_VERSION",
}
ORDINARY = [".env.example", ".flaskenv", "environment.py", "instance/settings.py", "schema.sql", "venvs/list.txt"]


def fill(folder: Path, *paths: str) -> None:
    """Write files into a folder."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


@pytest.mark.parametrize("tracked", [False, True])
def test_what_no_release_needs_stays_behind_and_is_said_in_one_line(
    folder: Path, tmp_path: Path, *, tracked: bool
) -> None:
    """In a folder of its own, and in a repository whose .gitignore does not name it."""
    fill(folder, *NO_RELEASE_NEEDS, *ORDINARY)
    if tracked:
        git(folder, "init", "--quiet")
        git(folder, "add", "main.py")
    (folder / ".gitignore").unlink()
    (folder / "instance.db").unlink()
    packed = packing.pack(str(folder))
    assert set(names(packed.archive)) == {"link", "main.py", "static/style.css", "tool.sh", *ORDINARY}
    (said,) = packed.notes
    assert said.startswith("app_source: left out ")
    for left in NO_RELEASE_NEEDS.values():
        assert f" {left}, " in said or f" {left}. " in said, left
    assert "app_source_exclude" in said


IGNORED = {
    "/static/build/": ("static/build/app.js", "static/build/"),
    "/dist/": ("dist/assets/app.css", "dist/"),
    "dist": ("front/dist/index.html", "front/dist/"),
    "/static/made/*.css": ("static/made/site.css", "static/made/"),
    ".env": (".env", ""),
    "/static/uploads/": ("static/uploads/photo.jpg", ""),
    "node_modules/": ("front/node_modules/a/dist/index.js", ""),
    ".venv/": (".venv/lib/a/static/app.js", ""),
    "/htmlcov/": ("htmlcov/index.html", ""),
    "/build/": ("build/lib/site/static/site.css", ""),
    "/dist/*": ("dist/site-1.0.tar.gz", ""),
}


@pytest.mark.parametrize("pattern", IGNORED)
@pytest.mark.parametrize("tracked", [False, True])
def test_output_of_a_build_that_gitignore_names_is_said_and_nothing_else_of_it(
    folder: Path, pattern: str, *, tracked: bool
) -> None:
    path, named = IGNORED[pattern]
    (folder / ".gitignore").write_text(f"*.db\n{pattern}\n")
    if tracked:
        git(folder, "init", "--quiet")
        git(folder, "add", ".")
    fill(folder, path)
    assert path not in names(packing.pack(str(folder)).archive)
    said = packing.pack(str(folder), published="static").notes
    assert [line.partition(", which .gitignore names")[0] for line in said] == (
        [f"app_source: left out {named}"] * bool(named)
    )
    assert "app_build" in "".join(said) or not named
    assert packing.pack(str(folder)).notes == []  # the server makes it


def test_what_was_committed_travels_from_a_folder_as_it_does_from_a_url(repository: Path) -> None:
    fill(repository, ".env", "cities.sqlite")
    git(repository, "add", ".env", "cities.sqlite")
    git(repository, "commit", "--quiet", "--all", "--message", "with a database")
    from_folder, from_url = packing.pack(str(repository)), packing.pack(f"file://{repository}")
    assert {".env", "cities.sqlite"} < set(names(from_folder.archive))
    assert from_folder.archive == from_url.archive
    assert from_folder.notes == from_url.notes
    (said,) = from_folder.notes
    assert said.startswith(
        "app_source: what git tracks travels to the server with each release, so does cities.sqlite, .env. "
    )
    assert packing.pack(str(repository), exclude=["!.env", "!cities.sqlite"]).notes == []


def test_exclude_leaves_out_of_a_folder_and_of_a_commit_the_same(repository: Path) -> None:
    fill(repository, "docs/a.md", "docs/b.md", "web/docs/c.md", "web/x.py", "old.psd")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--all", "--message", "with docs")
    exclude = ["/docs/", "*.psd", "tool.sh"]
    from_folder, from_url = (
        packing.pack(source, exclude=exclude) for source in (str(repository), f"file://{repository}")
    )
    assert from_folder == from_url._replace(commit=from_folder.commit)
    assert names(from_folder.archive) == [
        ".gitignore",
        "link",
        "main.py",
        "static/style.css",
        "web/docs/c.md",
        "web/x.py",
    ]
    assert from_folder.notes[0].startswith("app_source: left out old.psd, /docs/ (2 files), tool.sh. ")
    below = packing.pack(str(repository), "", "web", ["/docs/"])
    assert names(below.archive) == ["x.py"]


def test_exclude_takes_along_what_would_stay_behind_by_itself(folder: Path) -> None:
    fill(folder, "data/cities.sqlite", "data/dev.sqlite")
    packed = packing.pack(str(folder), exclude=["!data/cities.sqlite"])
    assert "data/cities.sqlite" in names(packed.archive)
    assert packed.notes[0].startswith("app_source: left out data/dev.sqlite. ")


def test_a_folder_of_nothing_but_what_stays_behind_has_no_files(tmp_path: Path) -> None:
    fill(tmp_path, ".env")
    with pytest.raises(files.SourceError, match=r"has no files \(after .gitignore and app_source_exclude\)"):
        packing.pack(str(tmp_path))


def test_a_repository_below_the_source_goes_without_it_too(repository: Path) -> None:
    git(repository, "init", "--quiet", "library")
    fill(repository / "library", "__init__.py", ".env")
    packed = packing.pack(str(repository))
    assert [name for name in names(packed.archive) if name.startswith("library")] == ["library/__init__.py"]
    assert "left out library/.env. " in packed.notes[0]


def test_exclude_counts_from_the_source_s_folder_in_a_repository_below_it_too(repository: Path) -> None:
    git(repository, "init", "--quiet", "library")
    fill(repository / "library", "docs/a.md", "tests/b.py")
    fill(repository, "docs/c.md")
    packed = packing.pack(str(repository), exclude=["/docs/", "/library/tests/"])
    assert {"library/docs/a.md"} == {name for name in names(packed.archive) if "docs" in name or "tests" in name}


def test_files_of_a_container_template_that_nothing_reads_are_named(folder: Path) -> None:
    fill(folder, "app/uwsgi.ini", "prod/nginx.conf", "uwsgi.ini")
    below, server = packing.pack(str(folder)).notes
    assert below.startswith(
        "app_source: app/uwsgi.ini is not read, as it is not in the application's folder. Move it there, or "
    )
    assert server.startswith("app_source: prod/nginx.conf is not read. What takes its place is nginx_extra_server, ")


def test_what_is_large_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "film.mp4").open("wb") as film:
        film.truncate(12_000_000)  # zeros, which compress well
    (said,) = packing.pack(str(folder)).notes
    assert said.startswith("app_source: large: film.mp4 (12 MB). app_source_exclude ")
    monkeypatch.setattr(packing, "LARGE_ARCHIVE", 10_000)
    assert "film.mp4 (12 MB), 0 MB in all, compressed." in packing.pack(str(folder)).notes[0]
    sizes = {f"{number}.mp4": number * 1_000_000 for number in range(30)}
    assert packing.notes({}, {}, sizes, 0)[0].startswith("app_source: large: 29.mp4 (29 MB), 28.mp4 (28 MB), ")
    assert " 25.mp4 (25 MB), 14 more files. " in packing.notes({}, {}, sizes, 0)[0]


def test_a_repository_that_is_a_folder_goes_as_it_is_and_without_git(repository: Path) -> None:
    packed = packing.pack(str(repository)).archive
    assert names(packed) == [".gitignore", "link", "main.py", "static/style.css", "tool.sh"]
    assert content(packed, "main.py") == "app = 3\n"


def test_a_deleted_file_stays_behind(repository: Path) -> None:
    (repository / "tool.sh").unlink()
    assert "tool.sh" not in names(packing.pack(str(repository)).archive)


def test_the_same_files_are_the_same_bytes(folder: Path) -> None:
    first = packing.pack(str(folder)).archive
    (folder / "main.py").touch()
    (folder / "tool.sh").chmod(0o700)
    assert packing.pack(str(folder)).archive == first


@pytest.mark.parametrize("change", ["content", "mode", "name"])
def test_a_change_is_other_bytes(folder: Path, change: str) -> None:
    first = packing.pack(str(folder)).archive
    if change == "content":
        (folder / "main.py").write_text("app = 2\n")
    elif change == "mode":
        (folder / "main.py").chmod(0o755)
    else:
        (folder / "main.py").rename(folder / "wsgi.py")
    assert packing.pack(str(folder)).archive != first


def test_the_archive_tells_nothing_of_this_machine(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packing.pack(str(folder)).archive)) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.uname, member.mtime) for member in members} == {(0, "", 0)}
    assert {member.name: member.mode for member in members if member.isfile()} == {
        ".gitignore": 0o644,
        "main.py": 0o644,
        "static/style.css": 0o644,
        "tool.sh": 0o755,
    }


@pytest.mark.parametrize(("ref", "expected"), [("", "app = 2\n"), ("main", "app = 2\n"), ("v1", "app = 1\n")])
def test_git_brings_the_ref_that_is_asked_for(repository: Path, ref: str, expected: str) -> None:
    assert content(packing.pack(f"file://{repository}", ref).archive, "main.py") == expected


def test_a_commit_may_be_named_in_full_or_in_short(repository: Path) -> None:
    commit = git(repository, "rev-parse", "v1")
    for ref in (commit, commit[:8]):
        assert content(packing.pack(f"file://{repository}", ref).archive, "main.py") == "app = 1\n"


def test_a_commit_and_the_same_files_in_a_folder_are_one_release(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "--quiet", ".")
    assert packing.pack(f"file://{repository}").archive == packing.pack(str(repository)).archive


def test_a_subfolder_is_the_application(repository: Path) -> None:
    assert names(packing.pack(f"file://{repository}", "", "static").archive) == ["style.css"]
    assert names(packing.pack(str(repository), "", "static").archive) == ["style.css"]


@pytest.mark.parametrize(
    ("name", "text", "whole"),
    [
        ("requirements.txt", "flask\n-e ../lib  # ours\n", True),
        ("requirements.txt", "--requirement=../base.txt\n", True),
        ("requirements.txt", "lib @ file:../../lib\n", True),
        ("requirements.txt", "flask # not ../lib\n./lib\nhttps://example.com/a..b/c.whl\n", False),
        ("pyproject.toml", '[tool.uv.sources]\nlib = { path = "../lib", editable = true }\n', True),
        ("pyproject.toml", '[tool.uv.sources]\nlib = [{ workspace = true, marker = "a" }]\n', True),
        ("pyproject.toml", '[tool.poetry.dependencies]\nlib = { path = "../lib" }\n', True),
        ("pyproject.toml", '[project]\ndependencies = ["lib @ file:///${PROJECT_ROOT}/../lib"]\n', True),
        ("pyproject.toml", '[tool.ruff]\nextend = "../ruff.toml"\n', False),
        ("pyproject.toml", "[project\n../lib", False),
    ],
)
def test_all_of_the_source_travels_where_the_application_needs_what_is_next_to_its_folder(
    repository: Path, name: str, text: str, *, whole: bool
) -> None:
    """From a folder and from a URL the same."""
    (repository / "web").mkdir()
    (repository / "web/uwsgi.ini").touch()
    (repository / "web" / name).write_text(text)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--all", "--message", "a monorepo")
    packed = packing.pack(str(repository), "", "web/")
    assert packed.folder == ("web" if whole else "")
    assert {f"web/{name}", "main.py"} <= set(names(packed.archive)) or not whole
    assert {name, "uwsgi.ini"} == set(names(packed.archive)) or whole
    assert packed.notes == []  # the uwsgi.ini is where it is read
    from_url = packing.pack(f"file://{repository}", "", "web")
    assert packed == from_url._replace(commit=packed.commit)


@pytest.mark.parametrize(
    ("texts", "needed"),
    [
        ({"requirements.txt": "-r requirements/prod.txt\n", "requirements/prod.txt": "../lib\n"}, True),
        (
            {
                "requirements.txt": "flask\n--requirement=a/b.txt",
                "a/b.txt": '-c "../c.txt" # c',
                "c.txt": "lib @ file:../lib",
            },
            True,
        ),
        ({"requirements.txt": "-r a/b.txt\n", "a/b.txt": "-r ../../base.txt\n"}, True),
        # Next to it, but not outside of the application's folder.
        ({"requirements.txt": "-r a/b.txt\n", "a/b.txt": "-r ../base.txt\n-r c.txt\n", "base.txt": "flask\n"}, False),
        ({"requirements.txt": "-r a.txt\n", "a.txt": "-r ./requirements.txt\n-r a.txt\nflask\n"}, False),
        ({"requirements.txt": "-r https://example.com/a.txt\n-r /a.txt\n", "/a.txt": "../lib"}, False),
    ],
)
def test_what_a_requirements_file_includes_counts_as_well(texts: dict[str, str], *, needed: bool) -> None:
    assert needs_siblings(lambda name: texts.get(name, "")) is needed


@pytest.mark.parametrize(
    ("source", "ref", "path", "message"),
    [
        ("/no/such/folder", "", "", "app_source: the folder '/no/such/folder' does not exist"),
        (
            "file:///no/such/repository.git",
            "",
            "",
            "app_source, app_source_ref: git cannot fetch 'HEAD'",
        ),
        ("{repository}", "no-such-branch", "", "git cannot fetch 'no-such-branch'"),
        ("{repository}", "deadbeef", "", "git cannot fetch 'deadbeef'"),
        ("{repository}", "main", "nowhere", "^app_source_path: main has no folder 'nowhere'"),
        ("{repository}/static/empty", "", "", "has no files"),
    ],
)
def test_a_source_that_cannot_be_had_is_said_plainly(
    repository: Path, source: str, ref: str, path: str, message: str
) -> None:
    (repository / "static/empty").mkdir()
    with pytest.raises(files.SourceError, match=message.replace("(", r"\(")):
        packing.pack(source.format(repository=repository), ref, path)


def test_a_password_in_the_address_is_not_shown() -> None:
    """The message names the address, and the output of a deploy is often a log that others read."""
    with pytest.raises(files.SourceError) as refused:
        packing.pack("file://ada:s3cr3t@/no/such/repository.git")
    assert "s3cr3t" not in str(refused.value)
    assert "/no/such/repository.git" in str(refused.value)


def test_a_password_in_the_address_is_not_kept_on_the_server() -> None:
    """The lock and the log of deploys name the source; others may read the one, and a backup holds the other."""
    assert locking.without_password("https://ada:s3cr3t@git.test/me/book.git") == "https://git.test/me/book.git"
    assert locking.without_password("https://git.test/@me/book.git") == "https://git.test/@me/book.git"
    assert locking.without_password("git@git.test:me/book.git") == "git@git.test:me/book.git"
    assert locking.without_password("v1.2") == "v1.2"


# --- A source that attacks the machine that packs it


@pytest.fixture
def trap(tmp_path: Path) -> tuple[Path, Path]:
    """Return a program that leaves a mark when it is run, and the mark."""
    program, mark = tmp_path / "trap.sh", tmp_path / "mark"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    return program, mark


def set_trap(repository: Path, program: Path) -> None:
    """Have git run a program wherever a repository's own configuration, attributes and hooks can."""
    for name in ("core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "core.sshCommand"):
        git(repository, "config", name, str(program))
    (repository / ".gitattributes").write_text("* filter=trap\n")
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman", "pre-auto-gc"):
        (repository / ".git/hooks" / hook).symlink_to(program)


@pytest.mark.parametrize("way", ["{}", "file://{}", "{}@main"])
def test_nothing_that_a_repository_names_is_run(repository: Path, trap: tuple[Path, Path], way: str) -> None:
    program, mark = trap
    set_trap(repository, program)
    git(repository, "-c", "core.fsmonitor=false", "status")  # git would run them
    assert mark.exists()
    mark.unlink()
    source, _, ref = way.format(repository).partition("@")
    assert "main.py" in names(packing.pack(source, ref).archive)
    assert not mark.exists()


def test_nothing_that_a_submodule_names_is_run(repository: Path, trap: tuple[Path, Path], tmp_path: Path) -> None:
    program, mark = trap
    git(tmp_path, "clone", "--quiet", str(repository), "library")
    git(
        repository,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(tmp_path / "library"),
        "library",
    )
    git(repository, "commit", "--quiet", "--all", "--message", "with a submodule")
    assert not packing.pack(str(repository), "").commit.endswith("-dirty")
    with pytest.raises(
        files.SourceError, match=r"^app_source: it has submodules, .* Clone it with --recurse-submodules"
    ):
        packing.pack(f"file://{repository}")
    git(repository / "library", "config", "filter.trap.clean", str(program))
    (repository / "library/.gitattributes").write_text("* filter=trap\n")
    (repository / "library/main.py").touch()
    assert "library/main.py" in names(packing.pack(str(repository), "").archive)
    assert not mark.exists()
    git(repository, "describe", "--always", "--dirty")  # git would run it
    assert mark.exists()


def test_what_a_repository_lacks_is_not_fetched(repository: Path, trap: tuple[Path, Path]) -> None:
    """As a partial clone would, with a program that its own configuration names."""
    program, mark = trap
    git(repository, "config", "remote.origin.url", "git@nowhere.test:x.git")
    git(repository, "config", "remote.origin.promisor", "true")
    git(repository, "config", "core.sshCommand", str(program))
    git(repository, "config", "extensions.partialClone", "origin")
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    (repository / ".git/objects" / tree[:2] / tree[2:]).unlink()
    packing.pack(str(repository))
    assert not mark.exists()


def test_a_folder_of_somebody_else_s_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    with pytest.raises(files.SourceError, match=r"git config --global --add safe.directory"):
        packing.pack(str(repository))
    with pytest.raises(files.SourceError, match="dubious ownership"):
        packing.pack(f"file://{repository}")


@pytest.mark.parametrize("ref", ["--upload-pack=/x.sh", "-x", "+main", "main:refs/heads/x", "a b", "v*", "ma^in"])
def test_a_ref_can_be_no_option(repository: Path, ref: str) -> None:
    for source in (str(repository), f"file://{repository}"):
        with pytest.raises(files.SourceError, match=r"app_source_ref: .* cannot name a branch"):
            packing.pack(source, ref)


def tree_of(repository: Path, *entries: tuple[str, str, str]) -> str:
    """Return a tree that git itself would not make: mode, name and object of each entry, as they are given."""
    raw = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(sha) for mode, name, sha in entries)
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        cwd=repository,
        input=raw,
        check=True,
        capture_output=True,
        text=False,
    )
    return made.stdout.decode().strip()


def object_of(repository: Path, text: str) -> str:
    (repository / "object").write_text(text)
    return git(repository, "hash-object", "-w", "object")


def test_a_tree_with_a_link_and_a_folder_of_one_name_is_refused(repository: Path) -> None:
    inner = tree_of(repository, ("100644", "pwn", object_of(repository, "* * * * * root id\n")))
    tree = tree_of(repository, ("120000", "x", object_of(repository, "/etc/cron.d")), ("40000", "x", inner))
    commit = git(repository, "commit-tree", tree, "-m", "trap")
    git(repository, "branch", "trap", commit)
    with pytest.raises(files.SourceError, match=r"^app_source: 'x' is there twice"):
        packing.pack(f"file://{repository}", "trap")


def test_two_folders_of_one_name_are_refused(repository: Path) -> None:
    """Of which git hands out one, or both as one."""
    inner = [tree_of(repository, ("100644", name, object_of(repository, ""))) for name in ("a", "b")]
    tree = tree_of(repository, ("40000", "web", inner[0]), ("40000", "web", inner[1]))
    git(repository, "branch", "trap", git(repository, "commit-tree", tree, "-m", "trap"))
    for subfolder in ("", "web"):
        with pytest.raises(files.SourceError, match=r"^app_source: 'web' is there twice"):
            packing.pack(f"file://{repository}", "trap", subfolder)


def test_what_is_fetched_is_checked_by_git_too(repository: Path) -> None:
    inner = tree_of(repository, ("100644", "pwn", object_of(repository, "")))
    commit = git(repository, "commit-tree", tree_of(repository, ("40000", "..", inner)), "-m", "trap")
    git(repository, "branch", "trap", commit)
    with pytest.raises(files.SourceError, match=r"git cannot fetch .trap.*hasDotdot"):
        packing.pack(f"file://{repository}", "trap")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["x -> /etc/cron.d", "x/pwn"], "'x/pwn' is below 'x', which is a link"),
        (["x", "x/pwn"], "'x/pwn' is below 'x', which is a file"),
        (["x", "x"], "'x' is there twice"),
        (["../pwn"], "'../pwn' is not below"),
        (["/etc/cron.d/pwn"], "'/etc/cron.d/pwn' is not below"),
        (["a/.GIT/config"], "is a file of git"),
    ],
)
def test_what_would_be_laid_out_elsewhere_is_refused(paths: list[str], message: str) -> None:
    def given() -> files.Entries:
        for path in paths:
            name, _, link = path.partition(" -> ")
            yield files.entry(name, 0, link=link), b""
        return files.Origin("", {})

    with pytest.raises(files.SourceError, match=re.escape(message)):
        list(files.checked(given()))


def test_a_tracked_file_below_what_has_become_a_link_is_refused(repository: Path, tmp_path: Path) -> None:
    """Files there do not belong to the application."""
    (repository / "static/style.css").unlink()
    (repository / "static").rmdir()
    (tmp_path / "private").mkdir()
    (tmp_path / "private/style.css").write_text("secret")
    (repository / "static").symlink_to(tmp_path / "private")
    with pytest.raises(files.SourceError, match=r"'static/style.css' is below 'static', which is a link"):
        packing.pack(str(repository))
