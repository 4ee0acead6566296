"""An Ansible callback: the module payloads of one run of Ansible serve the next, and so does what a server compiled of them.

Ansible packs each module with what it imports, once in a run. The suite starts hundreds of runs, and a third of their time
is spent on packing the same modules. The folder is named by SLIPWAY_PAYLOADS; tools/suite derives that name from the
content of all that can be packed. Source: ansible-core 2.19, executor/module_common.py (`ansiballz_cache`, and
`_get_ansiballz_code` for the program that unpacks a payload).
"""

from __future__ import annotations

import os
from pathlib import Path

from ansible import constants
from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: payload_cache
type: aggregate
short_description: The module payloads of one run serve the next
description: For the tests only.
"""


BYTE_CODE = Path(__file__).parents[1].joinpath("byte_code.py").read_text()


class CallbackModule(CallbackBase):
    """Puts a link to the shared folder in the place of the run's own, and byte_code.py into what unpacks a payload."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "payload_cache"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: object) -> None:
        """Ansible removes its folder, and so the link, at the end."""
        shared = os.environ.get("SLIPWAY_PAYLOADS")
        if shared:
            Path(shared).mkdir(parents=True, exist_ok=True)
            Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(shared)
            program = module_common._get_ansiballz_code
            module_common._get_ansiballz_code = lambda shebang: f"{program(shebang)}\n{BYTE_CODE}"
