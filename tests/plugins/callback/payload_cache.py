"""An Ansible callback: what one run of Ansible packed and compiled serves the next.

The suite starts hundreds of runs of Ansible, which do the same work again and again:

- Each packs every module with what it imports. Source: ansible-core 2.19, executor/module_common.py (`ansiballz_cache`).
- A server compiles what it was sent at each task (byte_code.py; `_get_ansiballz_code` is the program that unpacks it).
- A process of its own for each task compiles every template that it meets (_internal/_templating/_jinja_bits.py). The code
  depends on the text, on how it is to be read, and on which filters there are.

It also has Python look less often for objects that refer to each other: a run ends before they fill the memory, and in a forked
process each look copies what it shares with the first.

The folder is named by SLIPWAY_PAYLOADS; tools/suite derives that name from the content of all that can be packed, and so of
all filters.
"""

from __future__ import annotations

import gc
import hashlib
import marshal
import os
from pathlib import Path
from types import CodeType
from typing import Any

from ansible import constants
from ansible._internal._templating import _jinja_bits
from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: payload_cache
type: aggregate
short_description: What one run packed and compiled serves the next
description: For the tests only.
"""
BYTE_CODE = Path(__file__).parents[1].joinpath("byte_code.py").read_text()
Environment: Any = _jinja_bits.AnsibleEnvironment


class Templates:
    """The code of templates, in a folder that all runs share."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._compile = folder, Environment.compile

    def compile(self, environment: Any, source: Any, *more: Any, **options: Any) -> Any:
        """Do as Environment.compile does, or take what another process did."""
        if more or options or not isinstance(source, str):
            return self._compile(environment, source, *more, **options)
        context = _jinja_bits._TemplateCompileContext.current(optional=True)
        read = [getattr(environment, name) for name in _jinja_bits._TEMPLATE_OVERRIDE_FIELD_NAMES]
        key = repr((source, context and context.escape_backslashes, read))
        kept = self._folder / hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
        try:
            code: CodeType = marshal.loads(kept.read_bytes())
        except OSError:
            code = self._compile(environment, source)
            part = kept.with_suffix(f".{os.getpid()}")
            part.write_bytes(marshal.dumps(code))
            part.rename(kept)
        return code


class CallbackModule(CallbackBase):
    """Puts all of it in its place as a run begins."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "payload_cache"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: object) -> None:
        """Ansible removes its folder of payloads, and so the link, at the end."""
        shared = os.environ.get("SLIPWAY_PAYLOADS")
        if shared:
            gc.freeze()
            gc.set_threshold(100_000, 50, 1000)
            folder = Path(shared, "templates")
            folder.mkdir(parents=True, exist_ok=True)
            Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(shared)
            program, templates = module_common._get_ansiballz_code, Templates(folder)
            module_common._get_ansiballz_code = lambda shebang: f"{program(shebang)}\n{BYTE_CODE}"
            Environment.compile = lambda *given, **options: templates.compile(*given, **options)
