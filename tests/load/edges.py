"""What peers do to the gateway, and what it must do then: `edges.py GATEWAY`.

The upstream is in here, so that it can send any bytes and see what reaches it. Nothing but Python's own
library is needed.
"""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

GATEWAY = sys.argv[1]
failed = []


def check(holds, what):
    if not holds:
        failed.append(what)
        print(f"  FAILED {what}")


# The upstream.


class Upstream:
    """Answers each request by `answer(request)`: bytes to send, and numbers of seconds to wait."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.requests = []
        self.answer = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as reader:
                request = read_request(reader)
                if request is None:
                    return
                self.requests.append(request)
                for step in self.answer(request):
                    if isinstance(step, bytes):
                        connection.sendall(step)
                    else:
                        time.sleep(step)
        except OSError:
            pass


def read_request(reader):
    """Line, headers and body of a request; `None` if it was cut."""
    line = reader.readline().decode("latin-1").rstrip("\r\n")
    headers = []
    while True:
        header = reader.readline()
        if not header:
            return None
        if header == b"\r\n":
            break
        name, value = header.decode("latin-1").split(":", 1)
        headers.append((name.lower(), value.strip()))
    fields = dict(headers)
    if fields.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(reader.readline() or b"0", 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
    else:
        body = reader.read(int(fields.get("content-length", 0)))
    return {"line": line, "headers": headers, "fields": fields, "body": body}


def chunked(*pieces, trailers=()):
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return body + b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"


def answer(body, kind="text/event-stream", status="200 OK", headers=(), trailers=()):
    head = [f"HTTP/1.1 {status}", "connection: close", "transfer-encoding: chunked", *headers]
    if kind:
        head.append(f"content-type: {kind}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + chunked(body, trailers=trailers)


def endless(request):
    """A stream that never stops, no faster than a busy machine reads it."""
    yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    event = chunk("x" * 16000)
    while True:
        yield event
        time.sleep(0.002)


# The gateway.


class Gateway:
    def __init__(self, upstream, *arguments):
        self.folder = tempfile.TemporaryDirectory()
        self.log = os.path.join(self.folder.name, "log")
        self.error = os.path.join(self.folder.name, "error")
        with open(self.log, "wb") as log, open(self.error, "wb") as error:
            command = [GATEWAY, "--upstream", f"http://{upstream.address}", "--listen", "127.0.0.1:0"]
            command += ["--metrics", "127.0.0.1:0", "--alias", "fast=real-name", *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=error)
        self.address = self.printed(r"listening on http://(\S+)")
        self.figures = self.printed(r"figures at http://(\S+)/metrics")

    def printed(self, pattern):
        for _ in range(100):
            with open(self.error) as error:
                text = error.read()
            if found := re.search(pattern, text):
                host, port = found[1].split(":")
                return host, int(port)
            time.sleep(0.1)
        sys.exit(f"no address: {text}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        check(self.process.poll() is None, "the gateway is still there")
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def streams(self, count):
        """The log lines of that many streams, as soon as they are there."""
        for _ in range(100):
            with open(self.log) as log:
                lines = [json.loads(line) for line in log if line.endswith("\n")]
            if len(lines) >= count:
                break
            time.sleep(0.05)
        check(len(lines) == count, f"{count} streams are logged: {len(lines)}")
        return lines

    def most_memory(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024

    def figure(self, name):
        page = ask(self, "GET", "/metrics", to=self.figures)
        found = re.search(rf"^{re.escape(name)} (\d+)$", page.body.decode(), re.M)
        return int(found[1]) if found else 0


class Answer:
    def __init__(self, status, headers, body, broke):
        self.status, self.headers, self.body, self.broke = status, headers, body, broke

    def is_error(self):
        """An error in the form that clients of OpenAI read."""
        try:
            error = json.loads(self.body)["error"]
            return isinstance(error["message"], str) and isinstance(error["type"], str)
        except (ValueError, KeyError, TypeError):
            return False


CHAT = "/v1/chat/completions"
STREAM = b'{"model":"fast","stream":true}'


def head(method, path, headers=(), length=None):
    lines = [f"{method} {path} HTTP/1.1", "host: client", *headers]
    if length is not None:
        lines.append(f"content-length: {length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def connect(to, buffer=None):
    client = socket.socket()
    if buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.settimeout(30)
    client.connect(to)
    return client


def read_answer(client):
    response = http.client.HTTPResponse(client)
    response.begin()
    try:
        body, broke = response.read(), False
    except (http.client.IncompleteRead, ConnectionError) as error:
        body, broke = getattr(error, "partial", b""), True
    return Answer(response.status, dict(response.getheaders()), body, broke)


def ask(gateway, method="POST", path=CHAT, body=None, headers=(), to=None):
    with connect(to or gateway.address) as client:
        length = None if body is None else len(body)
        client.sendall(head(method, path, [*headers, "connection: close"], length))
        try:
            client.sendall(body or b"")
        except ConnectionError:
            pass  # It is answered already.
        return read_answer(client)


def until(holds, seconds):
    """Whether something holds within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return False


# What streams are made of.


def chunk(content="Hi", end=b"\n\n", **members):
    choices = [{"index": 0, "delta": {"content": content}, "finish_reason": None}]
    return data({"id": "1", "model": "real-name", "choices": choices, **members}, end)


def data(value, end=b"\n\n"):
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + end


FINISH = data({"id": "1", "model": "real-name", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
USAGE = {"prompt_tokens": 9, "completion_tokens": 70, "total_tokens": 79}
DONE = b"data: [DONE]\n\n"
WHOLE = chunk() + FINISH + DONE
COMPLETION = {"id": "1", "object": "chat.completion", "model": "real-name", "choices": [], "usage": USAGE}


# The checks.


def slow_requests(upstream):
    upstream.answer = lambda request: [answer(WHOLE)]
    flags = ["--max-streams", "3", "--request-timeout", "2"]
    with Gateway(upstream, *flags) as gateway:
        for path, name in ((CHAT, "chat"), ("/v1/files", "other")):
            for trickles in (False, True):
                what = f"slow requests, {name}, a byte now and then: {trickles}"
                clients = [connect(gateway.address) for _ in range(3)]
                for client in clients:
                    client.sendall(head("POST", path, length=1000) + b'{"model":')
                start = time.monotonic()
                if name == "chat":
                    check(ask(gateway, body=STREAM).status == 200, f"{what}: hold no permit")
                over = threading.Event()

                def trickle():
                    while trickles and not over.wait(0.2):
                        for client in clients:
                            try:
                                client.send(b" ")
                            except OSError:
                                pass

                threading.Thread(target=trickle, daemon=True).start()
                answers = [read_answer(client) for client in clients]
                over.set()
                took = time.monotonic() - start
                check([answer.status for answer in answers] == [408] * 3, f"{what}: status 408")
                check(all(answer.is_error() for answer in answers), f"{what}: an error")
                check(1.5 < took < 5, f"{what}: after {took:.1f} s")
                check(ask(gateway, body=STREAM).status == 200, f"{what}: the next one is served")
                for client in clients:
                    client.close()
        # The head has no permit either, and has the same time.
        with connect(gateway.address) as client:
            client.sendall(b"POST /v1/")
            client.settimeout(5)
            check(client.recv(1000).startswith((b"HTTP/1.1 408", b"")), "a slow head ends")
    # Who is slow, but sends what there is at a fair rate, is served.
    with Gateway(upstream, "--request-timeout", "1") as gateway, connect(gateway.address) as client:
        body = STREAM + b" " * 60000
        client.sendall(head("POST", CHAT, ["connection: close"], len(body)))
        for at in range(0, len(body), 6000):
            client.sendall(body[at : at + 6000])
            time.sleep(0.25)
        check(read_answer(client).status == 200, "a request of 24 KiB per second is read")


def memory_of_slow_requests(upstream):
    upstream.answer = lambda request: [answer(WHOLE)]
    with Gateway(upstream, "--max-memory", str(1 << 20)) as gateway:
        clients = [connect(gateway.address) for _ in range(4)]
        for client in clients[:3]:
            client.sendall(head("POST", CHAT, length=400000) + b" " * 300000)
        time.sleep(2)
        clients[3].sendall(head("POST", CHAT, length=400000) + b" " * 399999)
        check(read_answer(clients[3]).status == 503, "memory is bounded for all requests together")
        for client in clients:
            client.close()
        served = until(lambda: ask(gateway, body=STREAM + b" " * 400000).status == 200, 5)
        check(served, "memory is free again when its clients have left")


def clients_that_do_not_read(upstream):
    upstream.answer = lambda request: endless(request) if b"true" in request["body"] else [answer(WHOLE)]
    unedited = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'
    flags = ["--max-streams", "3", "--client-idle", "2"]
    for body, name in ((STREAM, "edited"), (unedited, "unedited")):
        for trickles in (False, True):
            what = f"clients that don't read, {name}, a byte now and then: {trickles}"
            with Gateway(upstream, *flags) as gateway:
                clients = [connect(gateway.address, buffer=4096) for _ in range(3)]
                for client in clients:
                    client.sendall(head("POST", CHAT, length=len(body)) + body)
                full = until(lambda: gateway.figure("gateway_streams_active") == 3, 3)
                check(full, f"{what}: they have the permits")
                check(ask(gateway, body=b'{"model":"m"}').status == 503, f"{what}: no one else has one")
                over = threading.Event()

                def trickle():
                    while trickles and not over.wait(0.2):
                        for client in clients:
                            try:
                                client.recv(50)
                            except OSError:
                                pass

                threading.Thread(target=trickle, daemon=True).start()
                served = until(lambda: ask(gateway, body=b'{"model":"m"}').status == 200, 12)
                over.set()
                check(served, f"{what}: the next one is served")
                check(until(lambda: gateway.figure("gateway_streams_active") == 0, 5), f"{what}: dropped")
                left = gateway.figure('gateway_streams_total{outcome="client_left"}')
                check(left == 3, f"{what}: {left} are counted as left by their clients")
                for client in clients:
                    client.close()


def time_of_streams(upstream):
    upstream.answer = endless
    with Gateway(upstream, "--max-time", "2") as gateway:
        start = time.monotonic()
        found = ask(gateway, body=STREAM)
        took = time.monotonic() - start
        check(found.broke and 1.5 < took < 6, f"a stream without an end is cut: {took:.1f} s")
        check(gateway.streams(1)[0]["outcome"] == "upstream_left", "and is logged so")


def memory_of_a_request(upstream):
    upstream.answer = lambda request: [answer(WHOLE)]
    size = (8 << 20) - 1000
    start, end = b'{"model":"fast","stream":true,"messages":[', b"]}"
    edited = b'{"model":"real-name","stream":true,"messages":[', b'],"stream_options":{"include_usage":true}}'

    def of(element):
        return b",".join([element] * (size // (len(element) + 1)))

    with_escapes = b'"' + b"\\n" * (size // 2 - 100) + b'"'
    for name, inside in (
        ("one text", b'"' + b"a" * (size - 200) + b'"'),
        ("one text of escapes", with_escapes),
        ("short texts", of(b'"0123456"')),
        ("short texts of escapes", of(b'"\\n\\n\\n\\t"')),
        ("as many texts of escapes as are read", of(b'"\\n\\na"')),
        ("messages", of(b'{"role":"user","content":"Hello, who are you?"}')),
    ):
        with Gateway(upstream) as gateway:
            before = gateway.most_memory()
            found = ask(gateway, body=start + inside + end)
            most = gateway.most_memory()
            print(f"  8 MiB, {name}: {most:.0f} MiB at most, {before:.0f} before")
            check(found.status == 200, f"8 MiB, {name}: served")
            check(upstream.requests[-1]["body"] == inside.join(edited), f"8 MiB, {name}: byte for byte")
            # A name or value takes 16 bytes, and 8 more with escapes, and is kept twice.
            check(most <= (80 if "texts of" in name else 64), f"8 MiB, {name}: {most:.0f} MiB")
    seen = len(upstream.requests)
    for name, inside in (("numbers", of(b"1")), ("lists", of(b"[]"))):
        with Gateway(upstream) as gateway:
            found = ask(gateway, body=start + inside + end)
            most = gateway.most_memory()
            print(f"  8 MiB, {name}: {most:.0f} MiB at most")
            check(found.status == 400 and found.is_error(), f"8 MiB, {name}: refused")
            check(most <= 64, f"8 MiB, {name}: {most:.0f} MiB")
    # Each thread reads one at a time, and keeps what its allocator has.
    with Gateway(upstream, "--threads", "2") as gateway:
        for _ in range(10):
            ask(gateway, body=start + of(b'"0123456"') + end)
        most = gateway.most_memory()
        print(f"  8 MiB, ten times: {most:.0f} MiB at most")
        check(most <= 160, f"8 MiB, ten times: {most:.0f} MiB")
        found = ask(gateway, body=b" " * ((8 << 20) + 1))
        check(found.status == 413 and found.is_error(), "more than 8 MiB are refused")
    check(len(upstream.requests) == seen + 10, "what is refused doesn't reach the upstream")


def memory_of_an_answer(upstream):
    size = 8 << 20
    text = b'{"model":"real-name","choices":[' + b",".join([b'"0123456"'] * (size // 10 - 100)) + b"]}"
    upstream.answer = lambda request: [answer(text, "application/json")]
    with Gateway(upstream) as gateway:
        found = ask(gateway, body=b'{"model":"fast"}')
        check(found.body == text.replace(b"real-name", b"fast"), "an answer of 8 MiB is byte for byte")
        most = gateway.most_memory()
        print(f"  8 MiB of an answer: {most:.0f} MiB at most")
        check(most <= 64, f"an answer of 8 MiB: {most:.0f} MiB")


def paths(upstream):
    upstream.answer = lambda request: [answer(WHOLE + data({"choices": [], "usage": USAGE}))]
    with Gateway(upstream) as gateway:
        for path in (
            "/v1/chat/completions",
            "/v1//chat/completions",
            "//v1/chat/completions",
            "/v1/chat/completions/",
            "/v1/chat/completions//",
            "/v1/./chat/completions",
            "/v1/chat/completions/.",
            "/v1/%2e/chat/completions",
            "/v1/chat/c%6Fmpletions",
            "/%76%31/%63hat/completions",
        ):
            for query in ("", "?a=%2F..//b"):
                found = ask(gateway, path=path + query, body=STREAM)
                sent = upstream.requests[-1]
                check(sent["line"] == f"POST {CHAT}{query} HTTP/1.1", f"{path}: {sent['line']}")
                check(b"include_usage" in sent["body"] and b"real-name" in sent["body"], f"{path}: edited")
                check(found.status == 200 and b"real-name" not in found.body, f"{path}: the alias")
                check(b"usage" not in found.body, f"{path}: no usage")
        found = ask(gateway, path="/v1/Chat/Completions", body=STREAM)
        check(b"real-name" not in found.body, "case doesn't matter to what is edited")
        large = ask(gateway, path="/v1//chat/completions/", body=b" " * (9 << 20))
        check(large.status == 413, "the size is limited whatever the spelling")
        seen = len(upstream.requests)
        for path in (
            "/v1/../admin",
            "/v1/..",
            "/..",
            "/../v1/models",
            "/v1/models/../../admin",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/admin",
            "/v1/%2E./admin",
            "/v1/%252e%252e/admin",
            "/v1/..%2Fadmin",
            "/v1/..%5cadmin",
            "/v1/..\\admin",
            "/v1/..;/admin",
            "/v1/..%3b/admin",
            "/v1%2Fchat/completions",
            "/v1/chat%2fcompletions",
            "/v1/chat\\completions",
            "/v1/chat/completions;a=b",
            "/v1/models/%00",
            "/v1/models/%0d%0a",
            "/v1/models/%7f",
            "/v1/models/%",
            "/v1/models/%4",
            "/v1/models/%zz",
            "/v1/models/%+5",
        ):
            status = ask(gateway, path=path, body=STREAM).status
            check(status == 400, f"{path}: status {status}")
        for path in ("/", "/admin", "/v1", "/v1/", "/v1/.", "//admin", "/V1/models", "/metrics", "/v12/models"):
            status = ask(gateway, "GET", path).status
            check(status == 404, f"{path}: status {status}")
        check(len(upstream.requests) == seen, "what is refused doesn't reach the upstream")
        ask(gateway, "GET", "/v1/models/ft:a@b%e9%C3%A9,c+d")
        line = upstream.requests[-1]["line"]
        check(line == "GET /v1/models/ft:a@b%E9%C3%A9,c+d HTTP/1.1", f"other paths stay: {line}")


def ends_of_streams(upstream):
    """What is logged of streams that end badly, and what their clients see."""
    error = data({"error": {"message": "boom", "type": "server_error", "code": 500}})
    watched = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'
    begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    rows = [
        ("an error, then the client leaves", chunk() + error, "upstream_error"),
        ("an error without its end, then the client leaves", chunk() + error[:-2], "upstream_error"),
        ("a failure for a reason, then the client leaves", chunk() + FINISH.replace(b"stop", b"error"), "failed_finish"),
        ("the client leaves", chunk(), "client_left"),
        ("the client leaves behind the finish", chunk() + FINISH, "client_left"),
        ("the client leaves behind the end", WHOLE, "complete"),
    ]
    for body, name in ((STREAM, "edited"), (watched, "watched")):
        for what, sent, outcome in rows:
            upstream.answer = lambda request: [begin + sent, 10.0]
            with Gateway(upstream) as gateway:
                with connect(gateway.address) as client:
                    client.sendall(head("POST", CHAT, length=len(body)) + body)
                    time.sleep(0.3)
                found = gateway.streams(1)[0]["outcome"]
                check(found == outcome, f"{what}, {name}: {found}")
        # The connection of the upstream breaks.
        for what, sent, outcome in (
            ("an error, then a break", chunk() + error, "upstream_error"),
            ("a break", chunk() + b'data: {"id":', "upstream_left"),
            ("a break behind the finish", chunk() + FINISH + b'data: {"id":', "upstream_left"),
        ):
            chunks = b"%x\r\n%s\r\n" % (len(sent), sent)
            upstream.answer = lambda request: [
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
            ]
            with Gateway(upstream) as gateway:
                check(ask(gateway, body=body).broke, f"{what}, {name}: it breaks for the client too")
                found = gateway.streams(1)[0]["outcome"]
                check(found == outcome, f"{what}, {name}: {found}")
        # The last event lacks its blank line.
        usage = data({"model": "real-name", "choices": [], "usage": USAGE}, b"")
        for end in (b"", b"\n", b"\r\n", b"\r"):
            upstream.answer = lambda request: [answer(chunk() + FINISH + usage + end)]
            with Gateway(upstream) as gateway:
                found = ask(gateway, body=body)
                line = gateway.streams(1)[0]
                tokens = line["prompt_tokens"], line["output_tokens"]
                check(tokens == (9, 70), f"usage before {end}, {name}: {tokens}")
                check((b"usage" in found.body) == (name == "watched"), f"usage before {end}, {name}: {found.body}")
        for tail in (b"data: [DONE]", b"data: [DONE]\n", chunk("tail", b""), chunk("tail", b"\n"), b": a comment"):
            for trailers in ((), (b"x-trailer: 1",)):
                sent = chunk() + tail
                upstream.answer = lambda request: [answer(sent, trailers=trailers)]
                with Gateway(upstream) as gateway:
                    found = ask(gateway, body=body, headers=["te: trailers"])
                    expected = sent if name == "watched" else sent.replace(b"real-name", b"fast")
                    check(found.body == expected and not found.broke, f"{tail}, {trailers}, {name}: {found.body}")
                    outcome = gateway.streams(1)[0]["outcome"]
                    check(outcome != "client_left", f"{tail}, {trailers}, {name}: {outcome}")


def requests_that_are_read(upstream):
    """What reaches the upstream, byte for byte."""
    upstream.answer = lambda request: [answer(WHOLE)]
    asked = b'"stream_options":{"include_usage":true}'
    with Gateway(upstream) as gateway:
        for sent, expected in (
            (b'{"model":"fast","stream":true}', b'{"model":"real-name","stream":true,' + asked + b"}"),
            (b'{"stream":true}', b'{"stream":true,' + asked + b"}"),
            (b' { "stream" : true\n} ', b' { "stream" : true\n,' + asked + b"} "),
            (b'{"stream":true,"stream_options":null}', b'{"stream":true,' + asked + b"}"),
            (b'{"stream_options":{},"stream":true}', b"{" + asked + b',"stream":true}'),
            (
                b'{"stream_options":{ "a":1.0 },"stream":true}',
                b'{"stream_options":{ "a":1.0 ,"include_usage":true},"stream":true}',
            ),
            (b'{"stream_options":{"include_usage":false},"stream":true}', b"{" + asked + b',"stream":true}'),
            (b'{"stream":true,' + asked + b"}", b'{"stream":true,' + asked + b"}"),
            (b'{"stream":false,"n":1e400}', b'{"stream":false,"n":1e400}'),
            (b'{"mod\\u0065l":"f\\u0061st","x":[1E2,"\\/"]}', b'{"mod\\u0065l":"real-name","x":[1E2,"\\/"]}'),
            (b'{"model":"faster","model2":"fast"}', b'{"model":"faster","model2":"fast"}'),
            # Half of a surrogate pair is JSON, and stays what it is.
            (
                b'{"model":"fast","stream":true,"messages":[{"content":"\\ud83d"}]}',
                b'{"model":"real-name","stream":true,"messages":[{"content":"\\ud83d"}],' + asked + b"}",
            ),
            (
                b'{"model":"fast","a":' + b"[" * 127 + b"]" * 127 + b"}",
                b'{"model":"real-name","a":' + b"[" * 127 + b"]" * 127 + b"}",
            ),
        ):
            found = ask(gateway, body=sent)
            check(found.status == 200, f"{sent[:60]}: status {found.status}")
            seen = upstream.requests[-1]["body"]
            check(seen == expected, f"{sent[:60]}: {seen[:200]}")
            check(b"real-name" not in found.body or b"real-name" not in expected, f"{sent[:60]}: {found.body}")
        seen = len(upstream.requests)
        for sent in (
            b"",
            b"null",
            b'[{"model":"fast","stream":true}]',
            b'\xef\xbb\xbf{"model":"fast","stream":true}',
            b'{"model":"fast","stream":true',
            b'{"model":"fast","stream":true,}',
            b'{"model":"fast","stream":true} {}',
            b'{"model":"fast","stream":true,"a":"\xff"}',
            b'{"model":"fast","stream":true,"a":"\n"}',
            b"{'model':'fast','stream':true}",
            b'{"model":"fast","stream":true,"a":' + b"[" * 128 + b"]" * 128 + b"}",
            b'{"model":"fast","stream":true,"a":' + b"[" * 100000 + b"]" * 100000 + b"}",
            '{"model":"fast","stream":true}'.encode("utf-16"),
            b'{"model":"m","model":"fast"}',
            b'{"model":"fast","mod\\u0065l":"m"}',
            b'{"stream":false,"stream":true}',
            b'{"stream":true,"stream_options":{"include_usage":true},"stream_options":{}}',
            b'{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
            b'{"stream":true,"stream_options":[]}',
            b'{"stream":true,"stream_options":"a"}',
            b'{"stream":true,"stream_options":{"include_usage":1}}',
            b'{"stream":1}',
            b'{"model":["fast"]}',
            b'{"model":"m","Model":"fast"}',
        ):
            found = ask(gateway, body=sent)
            check(found.status == 400 and found.is_error(), f"{sent[:60]}: status {found.status}")
        check(len(upstream.requests) == seen, "what is refused doesn't reach the upstream")


def answers_that_hide(upstream):
    """Neither the model's name nor a usage that nobody asked for reaches the client."""
    surrogate = b'{"model":"real-name","choices":[{"message":{"content":"\\ud83d"}}]}'
    deep = b'{"model":"real-name","a":' + b"[" * 200 + b"]" * 200 + b',"usage":{"prompt_tokens":9}}'
    completion = json.dumps(COMPLETION).encode()
    stream = WHOLE + data({"choices": [], "usage": USAGE})
    gzip = ["content-encoding: gzip"]
    hidden = (b"real-name", b"prompt_tokens")
    refused = [
        ("compressed", answer(stream, headers=gzip)),
        ("compressed twice", answer(stream, headers=["content-encoding: identity", "Content-Encoding: br"])),
        ("compressed JSON", answer(completion, "application/json", headers=gzip)),
        ("compressed, of no type", answer(b"\x1f\x8b\x08real-name", None)),
        ("another type", answer(b"model real-name, prompt_tokens 9", "text/plain")),
        ("a page", answer(b"<html>real-name prompt_tokens</html>", "text/html")),
        ("bytes", answer(b"\x00real-name", "application/octet-stream")),
        ("deep JSON", answer(deep, "application/json")),
        ("a byte order mark", answer(b"\xef\xbb\xbf" + completion, "application/json")),
        ("a byte order mark, another type", answer(b"\xef\xbb\xbf" + completion, "text/plain")),
        ("JSON that is cut", answer(completion[:-1], "application/json")),
        ("JSON that isn't UTF-8", answer(completion[:-1] + b',"a":"\xff"}', "application/json")),
        ("a list", answer(b"[" + completion + b"]", "application/json")),
        ("a stream that is called JSON", answer(stream, "application/json")),
        ("white space, another type", answer(b" " * 2000 + completion, "text/plain")),
    ]
    edited = [
        ("half a surrogate pair", answer(surrogate, "application/json"), surrogate),
        ("JSON of another type", answer(completion, "text/plain"), completion),
        ("JSON of a type with parameters", answer(completion, "Application/JSON; charset=utf-8"), completion),
        ("two names", answer(b'{"model":"real-name","mod\\u0065l":"real-name"}', "application/json"), None),
        ("a stream of another type", answer(stream, "text/plain"), None),
        ("identity", answer(stream, headers=["content-encoding: identity"]), None),
    ]
    begins = [
        ("a deep event", chunk() + b"data: " + deep + b"\n\n" + WHOLE),
        ("an event that isn't JSON", chunk() + b"data: real-name prompt_tokens\n\n" + WHOLE),
        ("an event that is cut", chunk() + b'data: {"model":"real-name"\n\n' + WHOLE),
        ("an event that isn't UTF-8", chunk() + b'data: {"model":"real-name\xff"}\n\n' + WHOLE),
        ("an error line", chunk() + b'error: {"model":"real-name","message":"boom"}\n\n' + WHOLE),
        ("an error in words", chunk() + b"event: error\ndata: real-name prompt_tokens\n\n" + WHOLE),
        ("JSON in mid-stream", chunk() + b'{\n  "model":"real-name"\n}\n\n' + WHOLE),
        ("a line that is no field", chunk() + b"model: real-name\n\n" + WHOLE),
        ("a line that is no field, in an event", chunk() + b"model: real-name\n" + WHOLE),
        ("JSON that is called a stream", json.dumps(COMPLETION, indent=1).encode()),
        ("JSON in a line that is called a stream", completion),
        ("a page that is called a stream", b"<html>\nreal-name prompt_tokens\n\n"),
        ("compressed bytes that are called a stream", b"\x1f\x8b\x08real-name\n\n"),
        ("an end within an event", chunk() + b'data: {"model":"real-name","usage":{"prompt_tokens":9'),
    ]
    with Gateway(upstream) as gateway:
        for request, both in ((STREAM, True), (b'{"model":"fast"}', False), (b'{"stream":true}', True)):
            alias = b"fast" in request
            for name, sent in refused:
                upstream.answer = lambda _: [sent]
                found = ask(gateway, body=request)
                check(found.status == 502 and found.is_error(), f"{name}, {request}: status {found.status}")
                check(not any(text in found.body for text in hidden), f"{name}, {request}: {found.body[:200]}")
            for name, sent, exact in edited:
                upstream.answer = lambda _: [sent]
                found = ask(gateway, body=request)
                check(found.status == 200, f"{name}, {request}: status {found.status}")
                check(not alias or b"real-name" not in found.body, f"{name}, {request}: {found.body[:200]}")
                check(not both or b"prompt_tokens" not in found.body, f"{name}, {request}: {found.body[:200]}")
                if exact and alias and not both:
                    check(found.body == exact.replace(b"real-name", b"fast"), f"{name}, {request}: byte for byte")
            for name, sent in begins:
                upstream.answer = lambda _: [answer(sent)]
                found = ask(gateway, body=request)
                text = found.body
                check(not alias or b"real-name" not in text, f"{name}, {request}: {text[:300]}")
                check(not both or b"prompt_tokens" not in text, f"{name}, {request}: {text[:300]}")
                error = json.loads(text.split(b"\n\n")[-2].removeprefix(b"data: "))
                check("message" in error["error"] and b"[DONE]" not in text, f"{name}, {request}: {text[:300]}")
        # An error keeps its status, so that clients know whether to try again.
        for name, status, sent, expected in (
            ("compressed", "429 Too Many", answer(b"\x1f\x8breal-name", "application/json", "429 Too Many", [*gzip, "retry-after: 7"]), None),
            ("deep", "400 Bad", answer(deep, "application/json", "400 Bad"), None),
            ("a page", "503 No", answer(b"<html>no</html>", "text/html", "503 No"), b"<html>no</html>"),
            ("a list", "400 Bad", answer(b'[{"error":{}}]', "application/json", "400 Bad"), b'[{"error":{}}]'),
            ("an object", "400 Bad", answer(b'{"error":{}, "model":"real-name"}', "application/json", "400 Bad"), b'{"error":{}, "model":"fast"}'),
        ):
            upstream.answer = lambda _: [sent]
            found = ask(gateway, body=STREAM)
            check(found.status == int(status[:3]), f"an error, {name}: status {found.status}")
            if expected is None:
                check(found.is_error() and b"real-name" not in found.body, f"an error, {name}: {found.body}")
                check("content-encoding" not in found.headers, f"an error, {name}: {found.headers}")
            else:
                check(found.body == expected, f"an error, {name}: {found.body}")
            if name == "compressed":
                check(found.headers.get("retry-after") == "7", "an error keeps when to try again")
        # Where nothing is to be hidden, everything passes.
        watched = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'
        for name, sent in [*refused, *((name, answer(text)) for name, text in begins)]:
            upstream.answer = lambda _: [sent]
            found = ask(gateway, body=watched)
            with_head = chunked(found.body)
            check(found.status == 200 and sent.endswith(with_head), f"{name}, nothing to hide: {found.body[:200]}")
    # Connections that break in an event show nothing of it.
    begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    sent = chunk() + b'data: {"model":"real-name","us'
    upstream.answer = lambda _: [begin + b"%x\r\n%s\r\n" % (len(sent), sent)]
    with Gateway(upstream) as gateway:
        found = ask(gateway, body=STREAM)
        check(found.broke and found.body == chunk().replace(b"real-name", b"fast"), f"a break: {found.body}")


def headers_of_a_connection(upstream):
    of_a_connection = [
        "connection: x-named, close,X-Other",
        "x-named: 1",
        "x-other: 1",
        "keep-alive: timeout=5",
        "proxy-connection: keep-alive",
        "http2-settings: AAMAAABkAAQAAP__",
        "proxy-authorization: Basic eA==",
        "proxy-authenticate: Basic",
        "te: trailers",
        "trailer: x-trailer",
        "upgrade: h2c",
    ]
    names = {line.split(":")[0] for line in of_a_connection} - {"connection"}
    kept = ["authorization: Bearer key", "x-kept: 1", "accept: text/event-stream"]
    upstream.answer = lambda request: [answer(WHOLE, headers=[*of_a_connection, "x-kept: 2"])]
    with Gateway(upstream) as gateway:
        for path, body in ((CHAT, STREAM), ("/v1/models", b"{}")):
            with connect(gateway.address) as client:
                lines = [*of_a_connection, *kept, "expect: 100-continue"]
                client.sendall(head("POST", path, lines, len(body)) + body)
                found = read_answer(client)
            sent = upstream.requests[-1]["fields"]
            check(not names & set(sent), f"{path}: the upstream gets {names & set(sent)}")
            check("connection" not in sent and "expect" not in sent, f"{path}: the upstream gets {sent}")
            check(all(sent.get(line.split(": ")[0]) == line.split(": ")[1] for line in kept), f"{path}: {sent}")
            check(sent["host"] == upstream.address, f"{path}: for host {sent['host']}")
            seen = {name.lower() for name in found.headers}
            check(not names & seen and found.headers.get("x-kept") == "2", f"{path}: the client gets {seen}")


def figures(upstream):
    upstream.answer = lambda request: [answer(WHOLE)]
    with Gateway(upstream) as gateway:
        ask(gateway, body=STREAM)
        check(ask(gateway, "GET", "/metrics").status == 404, "clients don't see the figures")
        gateway.streams(1)
        complete = gateway.figure('gateway_streams_total{outcome="complete"}')
        check(complete == 1, f"the figures are on an address of their own: {complete}")
        check(ask(gateway, "GET", "/v1/models", to=gateway.figures).status == 404, "and nothing else is")


upstream = Upstream()
CHECKS = (
    slow_requests,
    memory_of_slow_requests,
    clients_that_do_not_read,
    time_of_streams,
    memory_of_a_request,
    memory_of_an_answer,
    paths,
    ends_of_streams,
    requests_that_are_read,
    answers_that_hide,
    headers_of_a_connection,
    figures,
)
wanted = sys.argv[2:]
for one in CHECKS:
    if not wanted or one.__name__ in wanted:
        name = one.__name__.replace("_", " ")
        print(name, flush=True)
        try:
            one(upstream)
        except Exception as error:
            check(False, f"{name}: {error!r}")
print(f"{len(failed)} failed" if failed else "all hold")
sys.exit(1 if failed else 0)
