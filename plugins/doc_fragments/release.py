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
    description:
      - What the step that took the lock returned as C(run); M(slipway.flask.release_stage), M(slipway.flask.release_select) or
        M(slipway.flask.release_lock).
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

    PLAN = r"""
options:
  plan:
    description: What the release is to be made of.
    type: dict
    required: true
    suboptions:
      user: {description: The application's user., type: str, required: true}
      module:
        description: The WSGI callable in gunicorn's notation, C(package.module:name) or C(module:factory()).
        type: str
        required: true
      server:
        description:
          - The app server's role. Its other files in C(bin/) than C(serve) begin with its name and a dot; what another one
            left there is not part of the release.
          - Where it is uwsgi, a C(uwsgi.ini) in the application's folder may name the module.
          - Where it is none, the release has no application. It is what is published of the source, with an C(index.html), and nothing else.
        type: str
        required: true
      uv: {description: Path of the uv program., type: path, required: true}
      python: {description: "An interpreter's path or name, or a version for uv to find or fetch.", type: str, required: true}
      static_dir: {description: Folder of static files below the source; published where it exists., type: str, required: true}
      static_url: {description: The URL path the static files are published under., type: str, required: true}
      static_kinds:
        description: Last suffixes of files that are published, without the dot; empty for names without one.
        type: list
        elements: str
        required: true
      static_forbidden_suffixes:
        description: Suffixes that a name may not have before its last one either.
        type: list
        elements: str
        required: true
      sandbox: {description: Directives of systemd for what runs as O(plan.user)., type: dict, required: true}
      build_service: {description: Directives of systemd for the build., type: dict, required: true}
      shared_dirs:
        description: "Folders below the source that outlive a release: links into C(<home>/shared)."
        type: list
        elements: str
        default: []
      build:
        description: Shell commands that run in the application's folder once its dependencies are there, as O(plan.user)'s build.
        type: list
        elements: str
        default: []
      prestart:
        description: The prestart commands; the release's id is derived from them too.
        type: list
        elements: str
        default: []
      migrate: {description: Whether migrations run before the prestart commands; part of the id., type: bool, default: true}
      force:
        description: Build again what was built of the same input before; the new release has a new id.
        type: bool
        default: false
      source: {description: "The version of the source, for the record.", type: str, default: ""}
      folder:
        description: The application's folder in the archive, where that has more of the source than this folder.
        type: str
        default: ""
"""

    ASKS = r"""
options:
  asks:
    description:
      - How the deploy asks for the lock; what it gives its further steps as O(ignore:lock) is C(run). The action plugin says all of it.
      - In a dry run nothing is said, and no lock is taken.
    type: dict
    suboptions:
      run: {description: "The deploy's id, which its further steps give.", type: str, required: true}
      holder: {description: "Who asks, since when and from where.", type: dict, required: true}
      instead_of: {description: The id of a deploy that has ended without giving the lock back., type: str, default: ""}
      force: {description: Take it from any holder., type: bool, default: false}
"""

    GATE = r"""
options:
  health_path: {description: Any answer below 500 to a GET of it counts as healthy., type: str, required: true}
  health_host: {description: The Host header of that request., type: str, required: true}
  health_timeout: {description: Seconds in which a started instance must answer., type: int, required: true}
"""

    END = r"""
options:
  drain_timeout: {description: Seconds to wait for the connections of an instance to end., type: int, required: true}
  keep: {description: "Releases to keep. The active, the previous and the last good one always are.", type: int, required: true}
"""

    ALONE = r"""
options:
  alone:
    description: Whether no other host takes part and no hook is to run, so that the step may go on to the end of the deploy.
    type: bool
    default: false
"""

    SOURCE = r"""
options:
  source:
    description: A folder on the control machine (absolute, or relative to where the command runs), or a git URL.
    type: str
    required: true
  ref:
    description: Branch, tag or commit. Empty is the default branch of a git URL, or a folder as it is.
    type: str
  path:
    description:
      - The application's folder below the source. It alone is packed, unless what it says of its dependencies names something
        outside of it, such as a sibling (C(../lib)) or a workspace of uv. Then all of the source is.
    type: str
  exclude:
    description:
      - Patterns in the notation of C(.gitignore), relative to the folder that is packed, of what stays behind as well, also of what
        git tracks. One that begins with an exclamation mark takes along what would stay behind by itself.
    type: list
    elements: str
"""
