"""The least that Flask can do: what the service is measured beside."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__, static_folder=None)


@app.get("/")
def hello() -> str:
    return "Hello, World!"
