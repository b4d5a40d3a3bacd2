"""A stand-in for the Hugging Face hub: the calls that huggingface_hub makes for push and pull.

Files are kept by commit; *.safetensors go through LFS as on the hub. Everything asked is noted.
"""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_standinStandinStandinStandin"


class StandIn:
    """What the hub holds: repo -> its commits, oldest first, each sha -> {path: bytes}."""

    def __init__(self):
        self.repos, self.private, self.blobs = {}, set(), {}
        self.asked = []  # (method, path, authorization)
        self.broken = set()  # paths that are answered with other bytes, or with 404 if "gone:path"
        self.endpoint = ""

    def files(self, repo):
        """Path -> bytes at the newest commit."""
        return dict(self.repos[repo][-1][1])

    def commit(self, repo, files):
        sha = hashlib.sha1(repr((len(self.repos.get(repo, [])), sorted(files))).encode())
        self.repos.setdefault(repo, []).append((sha.hexdigest(), files))
        return sha.hexdigest()

    def find(self, repo, revision="main"):
        """(sha, files) of a revision, or None."""
        commits = self.repos.get(repo, [])
        if revision == "main":
            return commits[-1] if commits else None
        return next((one for one in commits if one[0] == revision), None)


class Handler(BaseHTTPRequestHandler):
    hub: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value=b"", **headers):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        key = self.headers.get("Authorization")
        self.may_write = key == f"Bearer {TOKEN}"
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.asked.append((self.command, path, key))
        parts = path.split("/")
        if parts[:2] == ["api", "models"] and self.command == "GET":
            self.models("/".join(parts[2:4]), parts[4:])
        elif self.command in ("HEAD", "GET") and "resolve" in parts:
            self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        elif not self.may_write and self.command != "PUT":
            self.answer(401, {"error": "Invalid username or password."})
        elif path == "api/repos/create":
            asked = json.loads(self.body)
            repo = f"{asked['organization']}/{asked['name']}"
            self.hub.commit(repo, {".gitattributes": b""})
            if asked.get("visibility") == "private":
                self.hub.private.add(repo)
            self.answer(200, {"url": f"{self.hub.endpoint}/{repo}"})
        elif path == "api/validate-yaml":
            _, front, _ = json.loads(self.body)["content"].split("---\n", 2)
            assert isinstance(yaml.safe_load(front), dict)
            self.answer(200, {"warnings": [], "errors": []})
        elif "preupload" in parts:
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(self.body)["files"]
            ]
            self.answer(200, {"files": modes})
        elif path.endswith("info/lfs/objects/batch"):
            actions = [
                one | {"actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}}}
                for one in json.loads(self.body)["objects"]
            ]
            self.answer(200, {"transfer": "basic", "objects": actions})
        elif parts[0] == "lfs":
            assert hashlib.sha256(self.body).hexdigest() == parts[1]
            self.hub.blobs[parts[1]] = self.body
            self.answer(200)
        elif "commit" in parts:
            self.commit("/".join(parts[2:4]))
        else:
            self.answer(404, {"error": f"the stand-in does not know {self.command} {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = serve

    def visible(self, repo, revision):
        found = self.hub.find(repo, revision)
        if repo not in self.hub.repos or (repo in self.hub.private and not self.may_write):
            self.answer(401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        elif found is None:
            self.answer(404, {"error": "Invalid rev"}, X_Error_Code="RevisionNotFound")
        else:
            return found
        return None

    def models(self, repo, rest):
        revision = rest[1] if len(rest) > 1 else "main"
        if not (found := self.visible(repo, revision)):
            return
        sha, files = found
        if rest[:1] == ["tree"]:
            entries = [
                {"type": "file", "path": path, "size": len(data), "oid": blob(data)}
                for path, data in files.items()
            ]
            self.answer(200, entries)
            return
        siblings = [{"rfilename": path} for path in files]
        self.answer(200, {"id": repo, "modelId": repo, "sha": sha, "siblings": siblings})

    def resolve(self, repo, revision, path):
        if not (found := self.visible(repo, revision)):
            return
        sha, files = found
        if path not in files or f"gone:{path}" in self.hub.broken:
            self.answer(404, {"error": "no such file"}, X_Error_Code="EntryNotFound")
            return
        data = files[path]
        etag = f'"{blob(data)}"'
        if path in self.hub.broken:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self.answer(
            200,
            data,
            ETag=etag,
            X_Repo_Commit=sha,
            Content_Length=str(len(data)),
        )

    def commit(self, repo):
        files = self.hub.files(repo)
        for line in self.body.splitlines():
            change = json.loads(line)
            value = change["value"]
            if change["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif change["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        sha = self.hub.commit(repo, files)
        url = f"{self.hub.endpoint}/{repo}/commit/{sha}"
        self.answer(200, {"commitUrl": url, "commitOid": sha})


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def running():
    """A stand-in at work at its `endpoint`, on the loopback address."""
    hub = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_at(hub, monkeypatch, cache):
    """Let huggingface_hub in this process speak to the stand-in, with its token and a new cache.

    Xet, the hub's own upload protocol, is spoken by a compiled library and not stood in for: LFS
    over HTTP, which huggingface_hub takes without it, carries the same files.
    """
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
