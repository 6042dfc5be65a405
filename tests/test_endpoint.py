"""The chat endpoint on this machine: a tiny random model, called by the client library it imitates."""

import http.client
import json
import threading

import pytest

from course_utils import endpoint

openai = pytest.importorskip("openai")
TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
ASKED = [{"role": "user", "content": "w1 w2 w3"}]


@pytest.fixture
def llm(causal):
    causal.tokenizer.chat_template = TEMPLATE
    return causal


@pytest.fixture
def server(llm):
    with endpoint.serve(llm) as server:
        yield server


@pytest.fixture
def client(server):
    http_client = openai.DefaultHttpxClient(trust_env=False)  # no proxy of the machine's
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, http_client=http_client)


def ask(client, llm, **options):
    return client.chat.completions.create(**{"model": llm.name, "messages": ASKED, "max_tokens": 6, **options})


def post(server, body, headers=None, path="/v1/chat/completions"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_the_model_is_listed(client, llm):
    assert [model.id for model in client.models.list()] == [llm.name]


def test_a_whole_answer_is_what_the_model_generates(client, llm):
    (direct,) = llm.answer([llm.chat(ASKED)], max_new_tokens=6)
    answer = ask(client, llm)
    assert answer.choices[0].message.content.strip() == direct.text
    assert answer.choices[0].finish_reason == ("stop" if direct.ended else "length")
    assert answer.usage.prompt_tokens == len(llm.encode(llm.chat(ASKED)))
    assert answer.usage.completion_tokens == direct.tokens
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + direct.tokens


def test_a_stream_brings_the_same_text_in_several_pieces(client, llm):
    whole = ask(client, llm).choices[0]
    chunks = list(ask(client, llm, stream=True))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert len(pieces) > 2
    assert "".join(pieces) == whole.message.content
    assert [c.choices[0].finish_reason for c in chunks][-1] == whole.finish_reason


def test_a_stream_counts_its_tokens_when_asked_to(client, llm):
    *_, last = ask(client, llm, stream=True, stream_options={"include_usage": True})
    assert last.choices == [] and last.usage == ask(client, llm).usage


def test_a_stream_sends_the_first_piece_before_the_last_is_written(server, client, llm, monkeypatch):
    go_on, real = threading.Event(), endpoint._Pieces.on_finalized_text

    def waiting(self, text, stream_end=False):
        real(self, text, stream_end)
        assert not text or go_on.wait(20)

    monkeypatch.setattr(endpoint._Pieces, "on_finalized_text", waiting)
    stream = iter(ask(client, llm, stream=True))
    assert next(stream).choices[0].delta.role == "assistant"
    assert next(stream).choices[0].delta.content  # generate stands still, and this piece is here
    go_on.set()
    list(stream)


def test_a_seed_repeats_a_sampled_answer(client, llm):
    texts = [ask(client, llm, temperature=1.5, seed=seed, max_tokens=12).choices[0].message.content for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_requests_at_once_are_answered_one_after_the_other(server, client, llm):
    want, got = ask(client, llm).choices[0].message.content, []
    threads = [threading.Thread(target=lambda: got.append(ask(client, llm).choices[0].message.content)) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert got == [want] * 4


def test_a_request_leaves_a_line_without_its_texts(server, client, llm):
    ask(client, llm, stream=True).close()
    ask(client, llm)
    note = server.log[-1]
    assert {"id", "status", "model", "prompt_tokens", "completion_tokens", "first_piece", "seconds", "finish_reason"} <= set(note)
    assert "w1" not in json.dumps(server.log)


@pytest.mark.parametrize(("change", "status", "says"), [
    ({"model": "gpt"}, 404, "no model 'gpt'"),
    ({"messages": []}, 400, "at least one message"),
    ({"messages": "hello"}, 400, "must be a list"),
    ({"messages": [{"role": "king", "content": "w1"}]}, 400, "needs a role"),
    ({"messages": [{"role": "user", "content": None}]}, 400, "content that is a text"),
    ({"max_tokens": 0}, 400, "max_tokens"),
    ({"max_tokens": True}, 400, "max_tokens"),
    ({"max_tokens": 10_000}, 400, "max_tokens"),
    ({"temperature": 3}, 400, "temperature"),
    ({"temperature": float("nan")}, 400, "temperature"),
    ({"n": 2}, 400, "one answer"),
    ({"tools": [{"type": "function"}]}, 400, "tools is not offered"),
    ({"stream": "yes"}, 400, "true or false"),
    ({"messages": [{"role": "user", "content": "w1 " * 200}]}, 400, "context window"),
])  # fmt: skip
def test_a_bad_request_gets_one_clear_sentence(server, llm, change, status, says):
    got, answer = post(server, {"model": llm.name, "messages": ASKED, **change})
    assert got == status and says in answer["error"]["message"]
    assert server.log[-1]["status"] == status


def test_the_client_raises_its_own_error_with_our_sentence(client, llm):
    with pytest.raises(openai.NotFoundError, match="There is no model 'gpt'"):
        ask(client, llm, model="gpt")
    assert ask(client, llm).choices  # and the server goes on


def test_what_is_no_json_is_refused(server):
    assert post(server, b"{not json")[0] == 400
    assert post(server, b"[1]")[0] == 400
    assert post(server, b"[" * 50_000)[0] == 400


def test_a_large_request_is_refused_before_it_is_read(server):
    status, answer = post(server, b"x", {"Content-Length": str(10**9)})
    assert status == 413 and str(endpoint.MAX_BYTES) in answer["error"]["message"]


def test_pages_in_a_browser_cannot_use_it(server, llm):
    fine = {"model": llm.name, "messages": ASKED}
    assert post(server, fine, {"Content-Type": "text/plain"})[0] == 415  # what a page may send without asking
    assert post(server, fine, {"Host": "example.org"})[0] == 403  # a name that someone pointed here


def test_other_paths_do_not_exist(server):
    assert post(server, {}, path="/v1/completions")[0] == 404


def test_it_listens_to_this_machine_alone_and_ends_with_the_program(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.thread.daemon and server.daemon_threads


def test_after_stop_nobody_answers(llm):
    server = endpoint.serve(llm)
    server.stop()
    with pytest.raises(ConnectionError):
        post(server, {})


def test_a_client_that_leaves_stops_the_writing(server, client, llm, monkeypatch):
    written, real = [], endpoint._Handler._event

    def event(self, about, delta, finish=None):
        if delta.get("content"):
            written.append(delta["content"])
            raise BrokenPipeError  # as the socket does once the client is gone
        return real(self, about, delta, finish)

    monkeypatch.setattr(endpoint._Handler, "_event", event)
    list(ask(client, llm, stream=True, max_tokens=30))
    assert len(written) == 1 and server.log[-1]["status"] == 499
    assert not server.one_at_a_time.locked()
