"""The attacker: it runs whatever it is told, with what an application may do."""

from __future__ import annotations

import subprocess
from typing import Any

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def index() -> str:
    """Serve as an application does."""
    return "the attacker's page"


@app.post("/run")
def run() -> dict[str, Any]:
    """Run a program of the shell's; return its exit code and output."""
    program = request.get_data(as_text=True)
    done = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=False, timeout=60)
    return {"code": done.returncode, "output": done.stdout + done.stderr}
