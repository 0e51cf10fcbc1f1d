"""An upstream that sends any bytes, and a client that does, for `edges.py` and `minimal.py`.

Nothing but Python's own library is needed. The first argument is the program under test.
"""

import concurrent.futures
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

    def __init__(self, tls=None):
        self.tls = tls
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
            connection = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
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


def of_upstream(upstream, aliases="fast = 'real-name'", more=""):
    """The table of an upstream in a configuration file."""
    return f"[[upstream]]\nurl = 'http://{upstream.address}'\n{more}\n[upstream.aliases]\n{aliases}\n"


class Gateway:
    """Runs with flags alone, or with a file: limits by name, and more of the file as it is."""

    def __init__(self, upstream, threads=None, more="", environment={}, **limits):
        self.has_ended = False
        self.folder = tempfile.TemporaryDirectory()
        self.log = os.path.join(self.folder.name, "log")
        self.error = os.path.join(self.folder.name, "error")
        command = [GATEWAY, "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]
        if threads or more or limits:
            lines = [f"threads = {threads}"] if threads else []
            lines += ["[limits]", *(f"{name} = {value}" for name, value in limits.items()), more]
            if "[[upstream]]" not in more:
                lines.append(of_upstream(upstream))
            file = os.path.join(self.folder.name, "gateway.toml")
            with open(file, "w") as text:
                text.write("\n".join(lines))
            command += ["--config", file]
        else:
            command += ["--upstream", f"http://{upstream.address}", "--alias", "fast=real-name"]
        with open(self.log, "wb") as log, open(self.error, "wb") as error:
            self.process = subprocess.Popen(command, stdout=log, stderr=error, env={**os.environ, **environment})
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
        check(self.has_ended or self.process.poll() is None, "the gateway is still there")
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def streams(self, count, kind="stream"):
        """The log lines of that many streams, as soon as they are there."""
        for _ in range(100):
            with open(self.log) as log:
                lines = [json.loads(line) for line in log if line.endswith("\n")]
            lines = [line for line in lines if line["message"] == kind]
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


def is_error_event(text, code):
    """One event with an error of the gateway."""
    try:
        error = json.loads(text.removeprefix(b"data: "))["error"]
    except ValueError:
        return False
    return text.endswith(b"\n\n") and (error["type"], error["code"]) == ("gateway_error", code)


def run(checks):
    """Runs all checks, or those that the command line names, and exits.

    Those of time and memory run alone. The others mostly wait, and run several at a time.
    """
    wanted = sys.argv[2:]
    checks = [one for one in checks if not wanted or one.__name__ in wanted]

    def call(one):
        name = one.__name__.replace("_", " ")
        print(name, flush=True)
        try:
            one(Upstream())
        except Exception as error:
            check(False, f"{name}: {error!r}")

    def is_alone(one):
        return one.__name__.startswith(("time_", "memory_"))

    for one in filter(is_alone, checks):
        call(one)
    with concurrent.futures.ThreadPoolExecutor(4) as several:
        list(several.map(call, (one for one in checks if not is_alone(one))))
    print(f"{len(failed)} failed" if failed else "all hold")
    sys.exit(1 if failed else 0)
