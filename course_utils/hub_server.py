"""A small hub on this machine: a folder of models and data sets, spoken to as the real hub is.

For a class without internet (``python -m course_utils hub FOLDER``) and for tests. It answers what
``huggingface_hub``, ``transformers`` and ``datasets`` ask in order to read; nothing can be uploaded.

``FOLDER/org/name/…`` is the model ``org/name``; ``FOLDER/datasets/org/name/…`` the data set. Files
are served as they lie there; a revision is the checksum of names, sizes and times.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from .settings import CourseError

PIECE = 1 << 20  # bytes read and sent at once
CUT = "cut"  # a fault: the connection ends half-way through the file

# What a test may let go wrong: a path → an HTTP status, CUT, or None for nothing.
Fault = Callable[[str], int | str | None]


def revision(repo: Path) -> str:
    """40 hexadecimal digits that change with any file of the repository."""
    listing = [(name, size, mtime) for name, (size, mtime) in files(repo).items()]
    return hashlib.sha1(repr(listing).encode()).hexdigest()


def files(repo: Path) -> dict[str, tuple[int, int]]:
    """Name → (bytes, time of change) of a repository's files, hidden ones left out."""
    found = {}
    for path in sorted(repo.rglob("*")):
        name = path.relative_to(repo).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
            found[name] = path.stat().st_size, path.stat().st_mtime_ns
    return found


@lru_cache(maxsize=1024)
def _etag(path: Path, size: int, mtime: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path
    fault: Fault
    asked: list[str]

    def log_message(self, *args) -> None:
        """Silent: the terminal shows what the class needs, not each request."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self, body: bool = True) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path).strip("/")
        length = int(self.headers.get("Content-Length") or 0)
        posted = self.rfile.read(length)
        self.asked.append(path)
        wrong = self.fault(path)
        if isinstance(wrong, int):
            self._refuse(wrong, "GatedRepo" if wrong in (401, 403) else None)
            return
        api = re.fullmatch(r"api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.+))?)?", path)
        data = re.fullmatch(r"(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if api:
            kind, name, what, _, inside = api.groups()
            repo = self._repo(kind == "datasets", name)
            if repo is None:
                self._refuse(404, "RepoNotFound")
            elif what == "tree":
                self._tree(repo, inside or "", "recursive" in parse_qs(url.query))
            elif what == "paths-info":
                self._paths_info(repo, posted)
            else:
                self._info(repo, name)
        elif data:
            repo = self._repo(bool(data[1]), data[2])
            if repo is None:
                self._refuse(404, "RepoNotFound")
            elif data[4] not in files(repo):
                self._refuse(404, "EntryNotFound")
            else:
                self._file(repo, data[4], body, cut=wrong == CUT)
        else:
            self._refuse(404, None)

    def _repo(self, is_data: bool, name: str) -> Path | None:
        # Two parts without dots in front: nothing outside the folder can be named.
        parts = name.split("/")
        if any(part.startswith(".") for part in parts) or (not is_data and parts[0] == "datasets"):
            return None
        repo = self.root.joinpath(*(["datasets"] if is_data else []), *parts)
        return repo if repo.is_dir() else None

    def _refuse(self, status: int, code: str | None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", f"HTTP {status}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, content) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _info(self, repo: Path, name: str) -> None:
        self._json({
            "id": name, "modelId": name, "sha": revision(repo), "private": False, "gated": False,
            "disabled": False, "downloads": 0, "likes": 0, "tags": [],
            "siblings": [{"rfilename": file} for file in files(repo)],
        })  # fmt: skip

    def _entry(self, repo: Path, name: str, size: int, mtime: int) -> dict:
        return {"type": "file", "path": name, "size": size, "oid": _etag(repo / name, size, mtime)[:40]}

    def _tree(self, repo: Path, inside: str, recursive: bool) -> None:
        prefix = f"{inside.strip('/')}/" if inside.strip("/") else ""
        found, folders = [], set()
        for name, about in files(repo).items():
            if not name.startswith(prefix):
                continue
            rest = name[len(prefix) :].split("/")
            folders |= {prefix + "/".join(rest[:n]) for n in range(1, len(rest))}
            if recursive or len(rest) == 1:
                found.append(self._entry(repo, name, *about))
        if prefix and not found and not folders:
            self._refuse(404, "EntryNotFound")
            return
        shown = [f for f in sorted(folders) if recursive or f.count("/") == prefix.count("/")]
        self._json([{"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in shown] + found)

    def _paths_info(self, repo: Path, posted: bytes) -> None:
        if (self.headers.get("Content-Type") or "").startswith("application/json"):
            paths = json.loads(posted or b"{}").get("paths", [])
        else:
            paths = parse_qs(posted.decode()).get("paths", [])
        known = files(repo)
        self._json([self._entry(repo, p, *known[p]) for p in paths if p in known])

    def _file(self, repo: Path, name: str, body: bool, cut: bool) -> None:
        path = repo / name
        size, mtime = files(repo)[name]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        first = int(wanted[1]) if wanted else 0
        last = min(int(wanted[2]) if wanted and wanted[2] else size - 1, size - 1)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("ETag", f'"{_etag(path, size, mtime)}"')
        self.send_header("X-Repo-Commit", revision(repo))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(max(last - first + 1, 0)))
        self.end_headers()
        if not body:
            return
        left = (last - first + 1) // (2 if cut else 1)
        with path.open("rb") as file:
            file.seek(first)
            while left > 0 and (piece := file.read(min(PIECE, left))):
                self.wfile.write(piece)
                left -= len(piece)
        if cut:
            self.close_connection = True


@contextmanager
def serving(
    folder: Path | str, port: int = 0, fault: Fault = lambda path: None, host: str = "127.0.0.1"
):
    """The address of a hub that serves ``folder`` until the block ends, to this machine alone.

    ``port`` 0 takes a free one; ``host`` "0.0.0.0" serves the network as well. The yielded server has ``url`` and ``asked``, the paths of all requests.

    Raises
    ------
    CourseError
        if the folder does not exist, or the port is none, taken or forbidden.
    """
    if not 0 <= port <= 65535:
        raise CourseError(f"There is no port {port}; choose one from 1024 to 65535 with --port, or 0 for a free one.")
    root = Path(folder).expanduser().resolve()
    if not root.is_dir():
        raise CourseError(f"There is no folder {folder}; make one that holds org/name/ with a saved model.")
    about = {"root": root, "fault": staticmethod(fault), "asked": []}
    handler = type("Handler", (_Handler,), about)
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CourseError(f"Port {port} is taken; choose another with --port.") from error
        raise CourseError(
            f"Nothing can be served at {host}, port {port} ({error.strerror}); choose a port above 1023 with --port, and "
            "an address of this machine (or 0.0.0.0) with --host."
        ) from error
    server.daemon_threads = True
    name = socket.gethostname() if host == "0.0.0.0" else host
    server.url, server.asked = f"http://{name}:{server.server_port}", about["asked"]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def repositories(folder: Path | str) -> list[str]:
    """The ids of the models in the folder, and ``datasets/…`` for its data sets."""
    root = Path(folder).expanduser()
    found = [*root.glob("*/*"), *root.glob("datasets/*/*")]
    names = [path.relative_to(root).as_posix() for path in sorted(found) if path.is_dir()]
    return [n for n in names if not (n.startswith("datasets/") and n.count("/") == 1)]
