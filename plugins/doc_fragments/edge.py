"""Options of the modules that replace a web server's files (plugins/module_utils/edge_files.py)."""


class ModuleDocFragment:
    """Documentation that modules share."""

    DOCUMENTATION = r"""
options:
  files:
    description: Files to have. Folders they need are made.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: The file's path below O(root)., type: str, required: true}
      content: {description: The text of the file., type: str, required: true}
  unlinked:
    description: Paths below O(root) that shall not be symbolic links; a link is removed, a file left alone.
    type: list
    elements: str
    default: []
  absent:
    description:
      - Paths below O(root) that shall not exist, such as those of a site that is taken away. A folder further down that is
        left empty goes with them.
    type: list
    elements: str
    default: []
  listen:
    description: Ports and addresses the files listen on, as the server writes them.
    type: list
    elements: str
    default: []
  replaces:
    description: Servers that give up their addresses before this one is started or reloaded.
    type: list
    elements: dict
    default: []
    suboptions:
      role: {description: The name it has in RV(predecessors)., type: str, required: true}
      program: {description: The program's name as ps(1) shows it., type: str, required: true}
      sites:
        description:
          - Folders of its sites, first the one where a site of this name is given up. An address that any other site there
            listens on is not.
        type: list
        elements: path
        required: true
      reload_due: {description: The file that says it has not given up what it should., type: path, required: true}
  reload_due:
    description: Path of the file that says the server has not read its files yet.
    type: path
    required: true
"""
