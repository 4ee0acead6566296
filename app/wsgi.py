"""Where `flask run`, started in this folder, finds the application."""

from guestbook import create_app

__all__ = ["create_app"]
