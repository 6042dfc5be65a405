"""A model behind the chat interface that OpenAI's clients speak, for this machine alone.

``server = serve(llm)`` listens at 127.0.0.1 on a free port, in a thread that ends with the program.
``GET /v1/models`` names the model, ``POST /v1/chat/completions`` answers a conversation, as a whole
or, with ``"stream": true``, piece by piece as server-sent events. One request at a time: the others
wait. Left out: keys, several answers, tools, images, batches. Added: what to log (``server.log``).
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from transformers import TextStreamer

MAX_BYTES = 64_000  # of a request
MAX_TOKENS = 256  # of an answer
NOT_HERE = ("tools", "functions", "response_format", "logprobs", "stop")


class BadRequest(ValueError):
    """A request that cannot be answered: an HTTP status, and a sentence for the client."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class _Pieces(TextStreamer):
    """Hands each finished piece of text to ``emit`` while ``generate`` still runs."""

    def __init__(self, tokenizer, emit):
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.emit = emit

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self.emit(text)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds: a client that neither sends nor reads is left

    def log_message(self, *args) -> None:
        """Silent; what is worth keeping is in ``server.log``."""

    def do_GET(self) -> None:
        self._guarded(self._models)

    def do_POST(self) -> None:
        self._guarded(self._chat)

    def _guarded(self, answer) -> None:
        """Whatever goes wrong, the client gets one JSON sentence, and the log a line."""
        self.began, self.note = time.monotonic(), {"id": f"chatcmpl-{uuid.uuid4().hex[:12]}", "status": 200}
        self.streaming = False
        try:
            # A page in a browser may reach this machine by a name of its own: answer to ours alone.
            if self.headers.get("Host", "").rsplit(":", 1)[0] not in ("127.0.0.1", "localhost"):
                raise BadRequest(403, "This endpoint answers to 127.0.0.1 and localhost only.")
            answer()
        except (BrokenPipeError, ConnectionResetError, TimeoutError):  # the client left; generate has stopped
            self.note["status"], self.close_connection = 499, True
        except Exception as error:
            status = error.status if isinstance(error, BadRequest) else 500
            self.note |= {"status": status, "error": str(error)}
            self.close_connection = True  # the body may not have been read
            self._keep()
            if not self.streaming:
                self._json({"error": {"message": str(error), "type": "invalid_request_error", "code": None}}, status)
        finally:
            self._keep()

    def _keep(self) -> None:
        """The request's line goes into the log once, before the last byte of the answer is sent."""
        if "seconds" not in self.note:
            self.note["seconds"] = round(time.monotonic() - self.began, 3)
            self.server.log.append(self.note)

    def _json(self, content, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _models(self) -> None:
        if self.path != "/v1/models":
            raise BadRequest(404, f"There is nothing at {self.path}; try /v1/models.")
        about = {"id": self.server.llm.name, "object": "model", "created": 0, "owned_by": "this machine"}
        self._json({"object": "list", "data": [about]})

    def _chat(self) -> None:
        if self.path != "/v1/chat/completions":
            raise BadRequest(404, f"There is nothing at {self.path}; post to /v1/chat/completions.")
        asked = read(self._body(), self.server.llm)
        stream = asked.pop("stream")
        about = {"id": self.note["id"], "created": int(time.time()), "model": self.server.llm.name}
        self.note |= {"model": self.server.llm.name, "prompt_tokens": len(asked["ids"]), "stream": bool(stream)}
        pieces = []

        def emit(text: str) -> None:
            if not pieces:
                self.note["first_piece"] = round(time.monotonic() - self.began, 3)
            pieces.append(text)
            if stream:
                self._event(about, {"content": text})

        if stream:
            self._start_stream(about)
        with self.server.one_at_a_time:
            written, finish = write(self.server.llm, asked, emit)
        self.note |= {"completion_tokens": written, "finish_reason": finish}
        usage = {"prompt_tokens": len(asked["ids"]), "completion_tokens": written,
                 "total_tokens": len(asked["ids"]) + written}  # fmt: skip
        self._keep()
        if stream:
            self._event(about, {}, finish)
            if isinstance(stream, dict) and stream.get("include_usage"):
                self._send({**about, "object": "chat.completion.chunk", "choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
        else:
            message = {"role": "assistant", "content": "".join(pieces)}
            choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
            self._json({**about, "object": "chat.completion", "choices": [choice], "usage": usage})

    def _body(self):
        if self.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            raise BadRequest(415, "Send JSON, with Content-Type: application/json.")
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise BadRequest(411, "Say the length of the request: Content-Length is missing.")
        if int(length) > MAX_BYTES:
            raise BadRequest(413, f"The request has {length} bytes; at most {MAX_BYTES} are read.")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise BadRequest(400, f"The request is no JSON: {error}") from error

    def _start_stream(self, about: dict) -> None:
        self.streaming = self.close_connection = True  # the end of the answer is the end of the connection
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Connection", "close")
        self.end_headers()
        self._event(about, {"role": "assistant", "content": ""})

    def _event(self, about: dict, delta: dict, finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        self._send({**about, "object": "chat.completion.chunk", "choices": [choice]})

    def _send(self, event: dict) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()


def read(request, llm) -> dict:
    """The prompt's token ids and the options of a request, checked: a dictionary.

    Raises
    ------
    BadRequest
        for anything that is missing, of the wrong kind, out of range, or not offered here.
    """

    def must(holds: bool, sentence: str, status: int = 400) -> None:
        if not holds:
            raise BadRequest(status, sentence)

    def number(name: str, kinds, low, high, default):
        value = default if request.get(name) is None else request[name]
        fine = isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high
        must(fine, f"{name} must be a number from {low} to {high}.")
        return value

    must(isinstance(request, dict), "The request must be a JSON object.")
    must(request.get("model") == llm.name, f"There is no model {request.get('model')!r}; this is {llm.name!r}.", 404)
    for name in NOT_HERE:
        must(not request.get(name), f"{name} is not offered here.")
    must(request.get("n") in (None, 1), "n must be 1: one answer per request.")
    messages = request.get("messages")
    must(isinstance(messages, list) and bool(messages), "messages must be a list with at least one message.")
    for message in messages:
        fine = isinstance(message, dict) and message.get("role") in ("system", "user", "assistant")
        must(fine, "Each message needs a role: system, user or assistant.")
        must(isinstance(message.get("content"), str), "Each message needs a content that is a text.")
    longest = request.get("max_completion_tokens") is not None
    name = "max_completion_tokens" if longest else "max_tokens"
    limit = number(name, int, 1, MAX_TOKENS, 64)
    heat = number("temperature", (int, float), 0, 2, 0)
    top_p, seed = number("top_p", (int, float), 0.01, 1, 1), number("seed", int, 0, 2**31, 0)
    try:
        ids = llm.encode_all([llm.chat(messages)], limit)[0]
    except ValueError as error:  # it does not fit the context window
        raise BadRequest(400, str(error)) from error
    stream = request.get("stream", False)
    must(isinstance(stream, bool) or stream is None, "stream must be true or false.")
    return {"ids": ids, "limit": limit, "temperature": heat, "top_p": top_p, "seed": seed,
            "stream": stream and (request.get("stream_options") or True)}  # fmt: skip


def write(llm, asked: dict, emit) -> tuple[int, str]:
    """Generate, giving each piece of text to ``emit``; tokens written, and "stop" or "length"."""
    ids = torch.tensor([asked["ids"]], device=llm.model.device)
    warm = {"do_sample": True, "temperature": asked["temperature"], "top_p": asked["top_p"], "top_k": 0}
    options = warm if asked["temperature"] > 0 else {"do_sample": False}
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(asked["seed"])
        output = llm.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=asked["limit"],
            pad_token_id=llm.tokenizer.pad_token_id, streamer=_Pieces(llm.tokenizer, emit), **options,
        )  # fmt: skip
    answer = llm.to_answers(output[:, ids.shape[1] :])[0]
    return answer.tokens, "stop" if answer.ended else "length"


class Server(ThreadingHTTPServer):
    """``url`` is its address, ``log`` a dictionary per request (no texts), ``stop()`` ends it."""

    daemon_threads = True  # they end with the program

    def __init__(self, llm, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)  # never 0.0.0.0: that is every machine around
        self.llm, self.log, self.one_at_a_time = llm, [], threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()

    def __exit__(self, *args) -> None:
        self.stop()


def serve(llm, port: int = 0) -> Server:
    """Start answering for ``llm`` at ``http://127.0.0.1:PORT/v1``; ``port`` 0 takes a free one."""
    return Server(llm, port)
