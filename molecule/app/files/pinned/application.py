"""Not Flask at all: any WSGI application will do."""

import bottle
import gunicorn

server = bottle.Bottle()


@server.get("/")
def index() -> dict:
    """Tell which versions the release has."""
    return {"bottle": bottle.__version__, "gunicorn": gunicorn.__version__}
