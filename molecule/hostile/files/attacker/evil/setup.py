"""A dependency whose build attacks."""

import subprocess
from pathlib import Path

from setuptools import setup

source = Path(__file__).resolve().parent.parent
subprocess.run(["sh", str(source / "attack-build.sh")], cwd=source, check=True)
setup(name="evil", version="1", py_modules=["evil"])
