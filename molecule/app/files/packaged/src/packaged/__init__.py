"""A package below src/, with a factory that takes an argument."""

from flask import Flask


def create_app(greeting: str = "hello") -> Flask:
    """Return the application."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: {"greeting": greeting, "file": __file__})
    return app
