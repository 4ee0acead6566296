"""A page that counts how often it was requested, in its own table."""

import os

import psycopg2
from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    """Count one more."""
    with psycopg2.connect(os.environ["DATABASE_URL"]) as database, database.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS tide (number serial)")
        cursor.execute("INSERT INTO tide DEFAULT VALUES RETURNING number")
        (number,) = cursor.fetchone()
    return f"{os.environ['SEA']}: tide {number}\n"
