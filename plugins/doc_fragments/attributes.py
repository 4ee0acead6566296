"""What every module says of dry runs and diffs; each adds its own `support`."""


class ModuleDocFragment:
    """Documentation that modules share."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode, say what would change, and change nothing.
"""

    DIFF = r"""
options: {}
attributes:
  diff_mode:
    description: Returns what changes, or in check mode would change.
"""
