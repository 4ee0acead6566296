"""An application that wants HTTPS, and says so itself, as those with Flask-Talisman do; with the status that the edge has, too."""

from flask import Flask, Response, redirect, request
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)


@app.before_request
def insist():
    if not request.is_secure:
        return redirect(request.url.replace("http://", "https://", 1), 308)
    return None


@app.get("/")
def index():
    return {"scheme": request.scheme, "url": request.url}


@app.get("/own")
def own():
    """Say what the edge would say too."""
    return Response("own", headers={"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"})
