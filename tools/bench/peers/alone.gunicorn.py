"""gunicorn with the concurrency of Slipway's release, and nothing else of Slipway's."""

import runpy

_theirs = runpy.run_path("/srv/gunicorn/current/bin/gunicorn.conf.py")
worker_class, workers, threads = (_theirs[name] for name in ("worker_class", "workers", "threads"))
keepalive, worker_tmp_dir = (_theirs[name] for name in ("keepalive", "worker_tmp_dir"))
control_socket_disable = True
bind = "unix:/run/bench/alone.sock"
