"""A Hugging Face hub on loopback that takes uploads and keeps what was sent."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".parquet")
"""Files that go by Git LFS."""


@dataclass
class Repository:
    """A repository of the stand-in."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0


@dataclass
class Uploads:
    """What the stand-in was sent. Names of repositories are as in the API: `models/USER/NAME`."""

    token: str
    """The only one that it takes."""
    address: str = ""
    requests: list[str] = field(default_factory=list)
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 → content, by Git LFS."""


@contextmanager
def hub_for_uploads(token: str) -> Iterator[Uploads]:
    """Yields a running hub; a request without the token is refused with 401, and the token sent back."""
    hub = Uploads(token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.split("?")[0]
            hub.requests.append(f"{self.command} {path}")
            sent = self.headers.get("Authorization", "")
            if self.command != "PUT" and sent != f"Bearer {hub.token}":
                return self._reply(401, {"error": f"not {sent}"})
            match path.strip("/").split("/"):
                case ["api", "repos", "create"]:
                    self._reply(*create(hub, json.loads(body)))
                case ["api", "validate-yaml"]:
                    self._reply(*validate(json.loads(body)["content"]))
                case ["api", kind, user, name] if self.command == "GET":
                    found = hub.repositories[f"{kind}/{user}/{name}"]
                    self._reply(200, {"id": f"{user}/{name}", "private": found.private})
                case ["api", _, _, _, "preupload", "main"]:
                    self._reply(200, {"files": [mode(each) for each in json.loads(body)["files"]]})
                case [*_, "info", "lfs", "objects", "batch"]:
                    self._reply(200, {"objects": [action(o) for o in json.loads(body)["objects"]]})
                case ["lfs", oid]:
                    assert hashlib.sha256(body).hexdigest() == oid
                    hub.objects[oid] = body
                    self._reply(200, {})
                case ["api", kind, user, name, "commit", "main"]:
                    commit(hub, hub.repositories[f"{kind}/{user}/{name}"], body)
                    url = f"{hub.address}/{user}/{name}/commit/{COMMIT}"
                    self._reply(200, {"commitUrl": url, "commitOid": COMMIT})
                case _:
                    self._reply(404, {"error": path})

        def _reply(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    def action(asked: dict[str, Any]) -> dict[str, Any]:
        return {**asked, "actions": {"upload": {"href": f"{hub.address}/lfs/{asked['oid']}"}}}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def create(hub: Uploads, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    name = f"{asked['organization']}/{asked['name']}"
    key = f"{asked['type']}s/{name}"
    url = f"{hub.address}/{'datasets/' if asked['type'] == 'dataset' else ''}{name}"
    if key in hub.repositories:
        return 409, {"error": "You already created this model repo", "url": url}
    hub.repositories[key] = Repository(asked.get("visibility") == "private")
    return 200, {"url": url}


def validate(card: str) -> tuple[int, dict[str, Any]]:
    """The one thing that the hub's validation is known to refuse here: a licence that it does not list."""
    if "license: my-own" in card:
        error = {"message": '"license" must be one of apache-2.0, mit, …'}
        return 400, {"errors": [error], "warnings": []}
    return 200, {"errors": [], "warnings": []}


def mode(file: dict[str, Any]) -> dict[str, Any]:
    large = file["path"].endswith(LARGE)
    return {
        "path": file["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
    }


def commit(hub: Uploads, repository: Repository, body: bytes) -> None:
    repository.commits += 1
    for line in body.splitlines():
        match json.loads(line):
            case {"key": "file", "value": {"path": path, "content": content}}:
                repository.files[path] = base64.b64decode(content)
            case {"key": "lfsFile", "value": {"path": path, "oid": oid}}:
                repository.files[path] = hub.objects[oid]
            case {"key": "header"}:
                pass
            case other:
                raise AssertionError(other)
