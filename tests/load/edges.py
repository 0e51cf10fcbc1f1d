"""What peers do to the gateway, and what it must do then: `edges.py GATEWAY`.

The upstream is in `peers.py`, so that it can send any bytes and see what reaches it.
"""

import http.client
import json
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from peers import *


def slow_requests(upstream):
    upstream.answer = lambda request: [answer(WHOLE)]
    with Gateway(upstream, max_streams=3, request_seconds=2) as gateway:
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
    with Gateway(upstream, request_seconds=1) as gateway, connect(gateway.address) as client:
        body = STREAM + b" " * 60000
        client.sendall(head("POST", CHAT, ["connection: close"], len(body)))
        for at in range(0, len(body), 6000):
            client.sendall(body[at : at + 6000])
            time.sleep(0.25)
        check(read_answer(client).status == 200, "a request of 24 KiB per second is read")


def memory_of_slow_requests(upstream):
    upstream.answer = lambda request: [answer(WHOLE)]
    with Gateway(upstream, max_memory_bytes=1 << 20) as gateway:
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
    for body, name in ((STREAM, "edited"), (unedited, "unedited")):
        for trickles in (False, True):
            what = f"clients that don't read, {name}, a byte now and then: {trickles}"
            with Gateway(upstream, max_streams=3, client_idle_seconds=2) as gateway:
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
                left = gateway.figure('gateway_streams_total{outcome="client_gone"}')
                check(left == 3, f"{what}: {left} are counted as left by their clients")
                for client in clients:
                    client.close()


def time_of_streams(upstream):
    upstream.answer = endless
    with Gateway(upstream, max_seconds=2) as gateway:
        start = time.monotonic()
        found = ask(gateway, body=STREAM)
        took = time.monotonic() - start
        check(found.broke and 1.5 < took < 6, f"a stream without an end is cut: {took:.1f} s")
        check(gateway.streams(1)[0]["outcome"] == "cut", "and is logged so")


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
    with Gateway(upstream, threads=2) as gateway:
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
        ("the client leaves", chunk(), "client_gone"),
        ("the client leaves behind the finish", chunk() + FINISH, "client_gone"),
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
            ("a break", chunk() + b'data: {"id":', "cut"),
            ("a break behind the finish", chunk() + FINISH + b'data: {"id":', "cut"),
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
                tokens = line["gen_ai.usage.input_tokens"], line["gen_ai.usage.output_tokens"]
                check(tokens == (9, 70), f"usage before {end}, {name}: {tokens}")
                check((b"usage" in found.body) == (name == "watched"), f"usage before {end}, {name}: {found.body}")
        for tail in (b"data: [DONE]", b"data: [DONE]\n", chunk("tail", b""), chunk("tail", b"\n"), b": a comment"):
            for trailers in ((), (b"x-trailer: 1",)):
                sent = chunk() + tail
                upstream.answer = lambda request: [answer(sent, trailers=trailers)]
                with Gateway(upstream) as gateway:
                    found = ask(gateway, body=body, headers=["te: trailers"])
                    # The last event is closed, and an error event follows without the end of a stream.
                    expected = chunk() + tail.rstrip(b"\n") + b"\n\n"
                    expected = expected if name == "watched" else expected.replace(b"real-name", b"fast")
                    starts, rest = found.body.startswith(expected), found.body[len(expected) :]
                    check(starts and not found.broke, f"{tail}, {trailers}, {name}: {found.body}")
                    is_done = b"[DONE]" in tail
                    check(is_done == (rest == b""), f"{tail}, {trailers}, {name}: then {rest}")
                    check(is_done or is_error_event(rest, "cut"), f"{tail}, {trailers}, {name}: then {rest}")
                    outcome = gateway.streams(1)[0]["outcome"]
                    expected = "done_without_finish" if is_done else "cut"
                    check(outcome == expected, f"{tail}, {trailers}, {name}: {outcome}")


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
        ("a page that is called a stream", answer(b"<html>\nreal-name prompt_tokens\n\n")),
        ("compressed bytes that are called a stream", answer(b"\x1f\x8b\x08real-name\n\n")),
    ]
    edited = [
        ("half a surrogate pair", answer(surrogate, "application/json"), surrogate),
        ("JSON of another type", answer(completion, "text/plain"), completion),
        ("JSON of a type with parameters", answer(completion, "Application/JSON; charset=utf-8"), completion),
        ("two names", answer(b'{"model":"real-name","mod\\u0065l":"real-name"}', "application/json"), None),
        ("a stream of another type", answer(stream, "text/plain"), None),
        ("identity", answer(stream, headers=["content-encoding: identity"]), None),
        ("JSON that is called a stream", answer(json.dumps(COMPLETION, indent=1).encode()), None),
        ("JSON in a line that is called a stream", answer(completion), completion),
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
        begin, rest = found.body.split(b"\n\n", 1)
        check(begin + b"\n\n" == chunk().replace(b"real-name", b"fast"), f"a break: {found.body}")
        check(found.broke and is_error_event(rest, "cut"), f"a break: {found.body}")


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


def fallbacks(upstream):
    """The second upstream answers as long as the client has nothing of the first one."""
    second = Upstream()
    second.answer = lambda request: [answer(WHOLE.replace(b"real-name", b"second"))]
    tables = of_upstream(upstream) + of_upstream(second, "fast = 'second'")
    begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    page = answer(b"{}", "application/json", "503 No")
    event = chunk()
    rows = [
        ("status 503", lambda request: [page], True),
        ("status 429", lambda request: [answer(b"{}", "application/json", "429 No")], True),
        ("no answer", lambda request: [], True),
        ("a break before the first byte", lambda request: [begin], True),
        ("an end before the first byte", lambda request: [answer(b"")], True),
        ("status 400", lambda request: [answer(b"{}", "application/json", "400 No")], False),
        ("an answer", lambda request: [answer(WHOLE)], False),
        ("a break after the first byte", lambda request: [begin + b"%x\r\n%s\r\n" % (len(event), event)], False),
    ]
    with Gateway(upstream, more=tables) as gateway:
        for what, fails, falls_back in rows:
            upstream.answer, seen = fails, len(second.requests)
            found = ask(gateway, body=STREAM)
            check(len(second.requests) - seen == falls_back, f"{what}: asks the second: {falls_back}")
            if falls_back:
                check(found.body == WHOLE.replace(b"real-name", b"fast"), f"{what}: {found.body}")
                check(b'"model":"second"' in second.requests[-1]["body"], f"{what}: its own name")
        rest = found.body.removeprefix(event.replace(b"real-name", b"fast"))
        check(found.broke and is_error_event(rest, "cut"), f"a break after the first byte: {found.body}")
        name = f'gateway_fallbacks_total{{upstream="{upstream.address}"}}'
        check(gateway.figure(name) == 5, f"fallbacks are counted: {gateway.figure(name)}")
        # All fail: the answer is that of the last one.
        upstream.answer = second.answer = lambda request: [page]
        check(ask(gateway, body=STREAM).status == 503, "all fail: the last answer")
        # Only an upstream with an alias is asked for it.
        upstream.answer, seen = rows[6][1], len(second.requests)
        ask(gateway, body=b'{"model":"other","stream":true}')
        check(len(second.requests) == seen, "another model: the first one")
    nowhere = socket.create_server(("127.0.0.1", 0))
    refuses = "127.0.0.1:%d" % nowhere.getsockname()[1]
    nowhere.close()
    second.answer = lambda request: [answer(WHOLE.replace(b"real-name", b"second"))]
    tables = of_upstream(upstream).replace(upstream.address, refuses) + of_upstream(second, "fast = 'second'")
    with Gateway(upstream, more=tables) as gateway:
        check(ask(gateway, body=STREAM).status == 200, "a connection that is refused: the second one")


def cached_answers(upstream):
    usage = data({"id": "1", "model": "real-name", "choices": [], "usage": USAGE})
    whole = chunk() + chunk(" \\u00e9", logprobs=None) + FINISH + usage + DONE
    message = {"role": "assistant", "content": "Hi"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    completion = json.dumps({**COMPLETION, "choices": choices}).encode()
    begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    cache = "[cache]\nmax_bytes = 1000000\n"
    with_usage = b'{"model":"fast","stream":true,"stream_options":{"include_usage":true}}'
    with Gateway(upstream, more=cache) as gateway:

        def asked(body, headers=(), path=CHAT):
            seen = len(upstream.requests)
            found = ask(gateway, body=body, headers=headers, path=path)
            return found, len(upstream.requests) - seen

        upstream.answer = lambda request: [answer(whole)]
        for body in (STREAM, with_usage):
            first, asks = asked(body)
            check(asks == 1 and "x-cache" not in first.headers, f"{body}: the first one is asked for")
            second, asks = asked(body)
            check(asks == 0 and second.headers.get("x-cache") == "hit", f"{body}: the second one is replayed")
            events = [event for event in second.body.split(b"\n\n") if event.startswith(b"data: {")]
            chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
            texts = [choice["delta"].get("content") or "" for one in chunks for choice in one["choices"]]
            check("".join(texts) == "Hi \\u00e9", f"{body}: {texts}")
            check({one["model"] for one in chunks} == {"fast"}, f"{body}: by its alias")
            check(any("usage" in one for one in chunks) == (body == with_usage), f"{body}: the usage")
            check(second.body.endswith(DONE) and not second.broke, f"{body}: {second.body}")
            check(asked(body, ["authorization: Bearer other"])[1] == 1, f"{body}: another client, another answer")
            check(asked(body, path=CHAT + "?a=1")[1] == 1, f"{body}: another query, another answer")
            check(asked(body + b" ")[1] == 1, f"{body}: another body, another answer")
        upstream.answer = lambda request: [answer(completion, "application/json")]
        first, second = asked(b'{"model":"fast"}'), asked(b'{"model":"fast"}')
        check((first[1], second[1]) == (1, 0), "a whole completion is kept")
        found, model = json.loads(second[0].body), json.loads(first[0].body)["model"]
        check((found["choices"][0]["message"]["content"], found["usage"]["total_tokens"]) == ("Hi", 79), f"{found}")
        check(found["model"] == model == "fast", f"a whole completion by its alias: {found}")
        check(second[0].headers["content-type"] == "application/json", "a whole completion is JSON")
        # What isn't whole is never kept.
        for number, (what, sent) in enumerate((
            ("cut", begin + chunk()),
            ("an error in mid-stream", answer(chunk() + data({"error": {"message": "boom"}}) + FINISH + DONE)),
            ("an event that can't be read", answer(chunk() + b"data: {\n\n" + FINISH + DONE)),
            ("no finish reason", answer(chunk() + DONE)),
            ("a failed finish", answer(chunk() + FINISH.replace(b"stop", b"error") + DONE)),
            ("an error", answer(b'{"error":{"message":"no"}}', "application/json")),
            ("an error with its status", answer(completion, "application/json", "500 No")),
            ("a completion without an end", answer(completion.replace(b'"stop"', b"null"), "application/json")),
            ("another type", answer(b"<html>", "text/html")),
        )):
            upstream.answer = lambda request: [sent]
            body = b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"seed":%d}' % number
            check([asked(body)[1], asked(body)[1]] == [1, 1], f"{what}: isn't kept")
        upstream.answer = lambda request: [begin + chunk(), 0.5, FINISH + DONE]
        body = b'{"model":"m","stream":true,"seed":-1}'
        with connect(gateway.address) as client:
            client.sendall(head("POST", CHAT, length=len(body)) + body)
            time.sleep(0.2)
        gateway.streams(21)
        check(asked(body)[1] == 1, "a client that leaves: isn't kept")
        tokens = 'gateway_cache_requests_total{result="hit"}'
        check(gateway.figure(tokens) == 3, f"hits are counted: {gateway.figure(tokens)}")
        lines = gateway.streams(22)
        check([line["cache"] for line in lines[:2]] == ["miss", "hit"], "the log has the result")
    # Bounded in bytes.
    with Gateway(upstream, more="[cache]\nmax_bytes = 200000\n") as gateway:
        upstream.answer = lambda request: [answer(chunk("x" * 20000) + FINISH + DONE)]
        bodies = [b'{"model":"m","stream":true,"seed":%d}' % seed for seed in range(100)]
        for body in bodies:
            ask(gateway, body=body)
        seen = len(upstream.requests)
        for body in reversed(bodies):
            ask(gateway, body=body)
        kept = 100 - (len(upstream.requests) - seen)
        check(0 < kept < 20, f"of 100 answers of 20 KB, 200 KB keep {kept}")


def redacted_texts(upstream):
    """A match never reaches the client, however it is cut."""
    redact = "[redact]\npatterns = ['sk-[a-z]{8}', '\\\\d{4} \\\\d{4}']\nmost_bytes = 16\nmask = '[x]'\n".replace("\\\\", "\\")
    message = {"role": "assistant", "content": "a sk-abcdefgh, 1234 5678"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    with Gateway(upstream, more=redact) as gateway:
        for cut in range(1, 11):
            text = "sk-abcdefgh"
            sent = chunk("a ") + chunk(text[:cut]) + chunk(text[cut:] + ", 1234") + chunk(" 5678") + FINISH + DONE
            upstream.answer = lambda request: [answer(sent)]
            for body in (STREAM, b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'):
                found = ask(gateway, body=body)
                events = [event for event in found.body.split(b"\n\n") if event.startswith(b"data: {")]
                chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
                texts = [choice["delta"].get("content") or "" for one in chunks for choice in one["choices"]]
                check("".join(texts) == "a [x], [x]", f"cut at {cut}, {body}: {texts}")
                check(found.body.endswith(DONE), f"cut at {cut}, {body}: {found.body}")
        check(gateway.figure("gateway_redactions_total") == 40, "redactions are counted")
        upstream.answer = lambda request: [answer(json.dumps({**COMPLETION, "choices": choices}).encode(), "application/json")]
        for body in (b'{"model":"fast"}', b'{"model":"m"}'):
            found = json.loads(ask(gateway, body=body).body)
            check(found["choices"][0]["message"]["content"] == "a [x], [x]", f"a whole completion: {found}")
        # Values that no pattern sees don't pass.
        logprobs = {"content": [{"token": "sk-abcdefgh", "logprob": -1.0}]}
        event = data({"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": logprobs}]})
        upstream.answer = lambda request: [answer(event + FINISH + DONE)]
        found = ask(gateway, body=STREAM)
        check(b"sk-" not in found.body and is_error_event(found.body, "unwatched_content"), f"logprobs: {found.body}")
        choices[0]["logprobs"] = logprobs
        upstream.answer = lambda request: [answer(json.dumps({**COMPLETION, "choices": choices}).encode(), "application/json")]
        found = ask(gateway, body=b'{"model":"fast"}')
        check(found.status == 502 and found.is_error() and b"sk-" not in found.body, f"logprobs: {found.body}")
        upstream.answer = lambda request: [answer(b"a sk-abcdefgh", "text/plain")]
        found = ask(gateway, body=b'{"model":"m"}')
        check(found.status == 502 and b"sk-" not in found.body, f"another type: {found.body}")
    # The cache keeps the upstream's text, and each replay is searched.
    with Gateway(upstream, more=redact + "[cache]\nmax_bytes = 100000\n") as gateway:
        upstream.answer = lambda request: [answer(chunk("a sk-abc") + chunk("defgh") + FINISH + DONE)]
        for _ in range(2):
            found = ask(gateway, body=STREAM)
            check(b"sk-" not in found.body and b"[x]" in found.body, f"a replay: {found.body}")


def keys(upstream):
    """A key reaches its upstream, and neither another one nor a log."""
    second = Upstream()
    error = answer(b'{"error":{"message":"no","type":"t"}}', "application/json", "503 No")
    upstream.answer = lambda request: [error]
    second.answer = lambda request: [answer(WHOLE)]
    first_key, second_key, client_key = "sk-first-0123", "sk-second-4567", "sk-client-89ab"
    environment = {"FIRST_KEY": first_key, "SECOND_KEY": second_key}
    tables = of_upstream(upstream, more="key_env = 'FIRST_KEY'") + of_upstream(second, more="key_env = 'SECOND_KEY'")
    authorization = [f"authorization: Bearer {client_key}"]
    with Gateway(upstream, more=tables, environment=environment) as gateway:
        found = ask(gateway, body=STREAM, headers=authorization)
        check(found.status == 200, f"with keys: status {found.status}")
        for one, key in ((upstream, first_key), (second, second_key)):
            check(one.requests[-1]["fields"].get("authorization") == f"Bearer {key}", f"{key} reaches its upstream")
        second.answer = lambda request: [error]
        ask(gateway, body=STREAM, headers=authorization)
        ask(gateway, "GET", "/v1/models", headers=authorization)
        check(upstream.requests[-1]["fields"].get("authorization") == f"Bearer {first_key}", "for other paths too")
        gateway.streams(1)
        page = ask(gateway, "GET", "/metrics", to=gateway.figures).body.decode()
        for text, what in ((open(gateway.log).read(), "log"), (open(gateway.error).read(), "errors"), (page, "figures")):
            check(not any(key in text for key in (first_key, second_key, client_key)), f"no key in the {what}")
    # A client's own key is for the only upstream, or for those that are named.
    second.answer = lambda request: [answer(WHOLE)]
    tables = of_upstream(upstream, more="pass_authorization = true") + of_upstream(second)
    for more, expected in (("", (client_key, None)), (tables, (client_key, None))):
        with Gateway(upstream, more=more) as gateway:
            ask(gateway, body=STREAM, headers=authorization)
            sent = upstream.requests[-1]["fields"].get("authorization")
            check(sent == f"Bearer {client_key}", f"a client's key: {sent}")
    check("authorization" not in second.requests[-1]["fields"], "a client's key isn't for another upstream")
    # Without its key, or with a file that can't be read, the gateway doesn't start.
    for more, what in (
        (of_upstream(upstream, more="key_env = 'NO_SUCH_KEY'"), "NO_SUCH_KEY"),
        (of_upstream(upstream, more="unknown = 1"), "unknown"),
        ("[[upstream]]\nurl = 'ftp://a'\n", "http://"),
        ("watch = false\n" + of_upstream(upstream), "aliases"),
        ("[redact]\npatterns = ['(']\nmost_bytes = 1\n" + of_upstream(upstream), "regex"),
    ):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(more)
            file.flush()
            command = [GATEWAY, "--config", file.name, "--listen", "127.0.0.1:0"]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=10)
            check(ended.returncode in (1, 2) and what in ended.stderr, f"{what}: {ended.stderr}")


def http2(upstream):
    """HTTP/2 on both sides, by prior knowledge and by TLS."""
    upstream.answer = lambda request: [answer(WHOLE + data({"choices": [], "usage": USAGE}))]
    expected = WHOLE.replace(b"real-name", b"fast")

    def curl(gateway, *arguments, scheme="http"):
        url = "http://%s:%d%s" % (*gateway.address, CHAT)
        command = ["curl", "-sN", "-m", "20", "--http2-prior-knowledge", "-w", " %{http_version}", *arguments, url]
        return subprocess.run(command, capture_output=True, timeout=30).stdout

    with Gateway(upstream, client_idle_seconds=2, max_streams=3) as gateway:
        check(curl(gateway, "-d", STREAM) == expected + b" 2", "a stream over HTTP/2")
        lines = ["-H", "te: trailers", "-H", "x-kept: 1", "-d", STREAM]
        curl(gateway, *lines)
        sent = upstream.requests[-1]["fields"]
        check("te" not in sent and sent["x-kept"] == "1" and sent["host"] == upstream.address, f"headers: {sent}")
        found = curl(gateway, "-d", b'{"model":1}')
        check(found.endswith(b" 2") and b'"error"' in found, f"an error over HTTP/2: {found}")
        check(ask(gateway, body=STREAM).body == expected, "and HTTP/1 on the same address")
        # A client whose window is closed is dropped, while its connection stays open.
        upstream.answer = endless
        clients = [StalledHttp2(gateway.address) for _ in range(3)]
        check(until(lambda: gateway.figure("gateway_streams_active") == 3, 3), "HTTP/2 clients have the permits")
        check(until(lambda: gateway.figure("gateway_streams_active") == 0, 10), "HTTP/2 clients that don't read")
        left = gateway.figure('gateway_streams_total{outcome="client_gone"}')
        check(left == 3, f"{left} are counted as left by their clients")
        for client in clients:
            client.close()
        # A client that leaves while its upstream is silent.
        begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        upstream.answer = lambda request: [begin + chunk(), 20.0]
        curl(gateway, "-m", "1", "-d", STREAM)
        check(until(lambda: gateway.figure("gateway_streams_active") == 0, 5), "an HTTP/2 client that leaves")
    # The second gateway is an upstream that has HTTP/2.
    upstream.answer = lambda request: [answer(WHOLE)]
    with Gateway(upstream) as inner:
        of_inner = "[[upstream]]\nurl = 'http://%s:%d'\nhttp2 = true\n" % inner.address
        with Gateway(upstream, more=of_inner) as gateway:
            check(ask(gateway, body=STREAM).body == expected, "an upstream over HTTP/2")


class StalledHttp2:
    """A client that asks for a stream, and whose windows stay at their first 64 KiB."""

    def __init__(self, to):
        self.client = connect(to)
        fields = ((":method", "POST"), (":scheme", "http"), (":path", CHAT), (":authority", "client"))
        # HPACK: literals without indexing, with names of their own.
        block = b"".join(
            b"\0%c%s%c%s" % (len(name), name.encode(), len(value), value.encode()) for name, value in fields
        )
        frame = lambda kind, flags, stream, body: (
            len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body
        )
        self.client.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(4, 0, 0, b"")
            + frame(1, 4, 1, block)
            + frame(0, 1, 1, STREAM)
        )
        self.over = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        """Reads all that comes, so that the connection itself is never full."""
        try:
            while self.client.recv(65536):
                pass
        except OSError:
            pass

    def close(self):
        self.client.close()


def tls(_):
    """An upstream with a certificate that the environment trusts, and one with another."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("trusted", "other"):
            command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
            names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
            files = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]
            subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
        for name, expected in (("trusted", 200), ("other", 502)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
            upstream = Upstream(context)
            upstream.answer = lambda request: [answer(WHOLE)]
            more = of_upstream(upstream).replace("http://", "https://")
            trusted = {"SSL_CERT_FILE": f"{folder}/trusted.pem"}
            with Gateway(upstream, more=more, environment=trusted) as gateway:
                found = ask(gateway, body=STREAM)
                check(found.status == expected, f"{name} certificate: status {found.status}")
                check(len(upstream.requests) == (expected == 200), f"{name} certificate: {upstream.requests}")


def shutdown(upstream):
    """Open streams end, no new ones begin, and those that last are cut behind the time of grace."""
    begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    rows = [("ends in time", [begin + chunk(), 1.0, FINISH + DONE], True), ("lasts", [begin + chunk(), 20.0], False)]
    for what, steps, is_whole in rows:
        upstream.answer = lambda request: steps
        with Gateway(upstream, grace_seconds=3) as gateway, connect(gateway.address) as client:
            client.sendall(head("POST", CHAT, length=len(STREAM)) + STREAM)
            until(lambda: gateway.figure("gateway_streams_active") == 1, 3)
            gateway.process.terminate()
            start = time.monotonic()
            time.sleep(0.2)
            try:
                connect(gateway.address).close()
                check(False, f"{what}: a new connection is refused")
            except OSError:
                pass
            found = read_answer(client)
            check((not found.broke and found.body.endswith(DONE)) == is_whole, f"{what}: {found.body}")
            code = gateway.process.wait(10)
            took = time.monotonic() - start
            check(code == 0 and (took < 2.5 if is_whole else 2.5 < took < 5), f"{what}: {code} after {took:.1f} s")
            lines = gateway.streams(1)
            check(lines[0]["outcome"] == ("complete" if is_whole else "client_gone"), f"{what}: {lines}")
            gateway.has_ended = True


def slow_openings(upstream):
    """A connection whose first bytes don't arrive ends, whichever version they begin."""
    upstream.answer = lambda request: [answer(WHOLE)]
    with Gateway(upstream, request_seconds=1) as gateway:
        for begin in (b"", b"P", b"PRI * HTTP/2.0\r\n"):
            with connect(gateway.address) as client:
                client.sendall(begin)
                start = time.monotonic()
                client.settimeout(5)
                try:
                    ended = client.recv(1000).startswith((b"HTTP/1.1 408", b""))
                except ConnectionError:
                    ended = True
                except TimeoutError:
                    ended = False
                check(ended and time.monotonic() - start < 4, f"{begin}: ends after {time.monotonic() - start:.1f} s")


run((
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
    fallbacks,
    cached_answers,
    redacted_texts,
    keys,
    http2,
    tls,
    shutdown,
    slow_openings,
))
