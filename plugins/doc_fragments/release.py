"""Options of the modules that call the release engine (plugins/module_utils/engine/module.py)."""


class ModuleDocFragment:
    """Documentation that modules share."""

    DOCUMENTATION = r"""
options:
  home: {description: The application's folder., type: path, required: true}
"""

    STEP = r"""
options:
  lock:
    description: What M(slipway.flask.release_lock) returned as RV(slipway.flask.release_lock#module:run).
    type: str
    default: ""
"""

    INSTANCES = r"""
options:
  run: {description: Folder of the sockets; it is created again at each boot., type: path, required: true}
  name: {description: The application's name., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  socket_group: {description: Group of the edge; it may connect., type: str, required: true}
"""
