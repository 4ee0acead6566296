"""Byte code that one Ansible module was compiled to serves the next on the same server; for the tests only.

A module comes to a server as source, with what it imports, and each task compiles all of it again: half of a task's work
there. The callback payload_cache puts this file into the program that Ansible sends, so it runs before any import of a
module's. What is kept is found by the source itself. Root alone writes there, and a reboot empties it.
"""

import _imp
import contextlib
import marshal
import os
import sys
import zipimport
from types import CodeType

BYTE_CODE = f"/run/ansible-byte-code/{sys.implementation.cache_tag}"
compile_source = zipimport._compile_source  # type: ignore[attr-defined]


def compiled(path: str, source: bytes) -> CodeType:
    """Return what zipimport would compile a file of an archive to, from an earlier task where there was one."""
    kept = f"{BYTE_CODE}/{_imp.source_hash(0, source).hex()}"
    try:
        with open(kept, "rb") as stream:
            code = marshal.loads(stream.read())
    except OSError:
        code = compile_source(path, source)
        with contextlib.suppress(OSError):  # another user than root, or a full disk: the next task compiles it again
            os.makedirs(BYTE_CODE, exist_ok=True)
            with open(f"{kept}.{os.getpid()}", "wb") as part:
                marshal.dump(code, part)
            os.rename(part.name, kept)
    else:
        _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]
    return code


zipimport._compile_source = compiled  # type: ignore[attr-defined]
