"""Options of the modules that write files (plugins/module_utils/writing.py)."""


class ModuleDocFragment:
    """Documentation that modules share."""

    DOCUMENTATION = r"""
options:
  group: {description: May read the files; their owner is root., type: str, default: root}
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      dest: {description: "Path below the folder, which a leading slash changes nothing of.", type: str, required: true}
      content: {description: "The file's bytes, in base64.", type: str, required: true}
      mode: {description: Mode in octal digits., type: str, default: "0640"}
      validate: {description: "A command that ends with 0 where C(%s), the new file, is in order.", type: str}
      secret: {description: Whether its content is never shown., type: bool, default: false}
"""
