"""An application that knows nothing of its mail server but its environment, and sends a mail with Flask-Mail: send.py RECIPIENT SUBJECT."""

from __future__ import annotations

import sys

from flask import Flask
from flask_mail import Mail, Message

app = Flask(__name__)
app.config.from_prefixed_env()
with app.app_context():
    Mail(app).send(Message(sys.argv[2], recipients=[sys.argv[1]], body="Hello Ada"))
