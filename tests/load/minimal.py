"""What the shortest gateway does with streams and completions: `minimal.py MINIMAL_GATEWAY`."""

import json
import os
import subprocess
import tempfile

from peers import *


class Minimal(Gateway):
    """Runs the example with its three arguments."""

    def __init__(self, upstream):
        self.has_ended = False
        self.folder = tempfile.TemporaryDirectory()
        self.error = os.path.join(self.folder.name, "error")
        command = [GATEWAY, f"http://{upstream.address}", "real-name", "127.0.0.1:0"]
        environment = {**os.environ, "OPENAI_API_KEY": "sk-0123"}
        with open(self.error, "wb") as error:
            self.process = subprocess.Popen(command, stdout=error, stderr=error, env=environment)
        self.address = self.printed(r"listening on http://(\S+)")


TEXTS = ("a brown", " fox, é")
REDACTED = "a [redacted], é"
MESSAGE = {"role": "assistant", "content": "".join(TEXTS)}
CHOICES = [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]
JSON = answer(json.dumps({**COMPLETION, "choices": CHOICES}).encode(), "application/json")
STREAMED = answer(
    chunk(TEXTS[0]) + chunk(TEXTS[1]) + FINISH + data({"model": "real-name", "choices": [], "usage": USAGE}) + DONE
)


def conversions(upstream):
    """Either kind of request is answered by either kind of answer, and again by the cache."""
    with Minimal(upstream) as gateway:
        for number, (kind, sent) in enumerate((("a stream", STREAMED), ("a completion", JSON))):
            upstream.answer = lambda request: [sent]
            for asked in (b'"stream":true,"stream_options":{"include_usage":true}', b'"stream":true', b'"n":1'):
                what = f"{asked}, answered by {kind}"
                body = b'{"model":"large",%s,"seed":%d}' % (asked, number)
                seen = len(upstream.requests)
                for turn in range(2):
                    found = ask(gateway, body=body)
                    check(found.status == 200 and not found.broke, f"{what}: status {found.status}")
                    check(b"brown" not in found.body and b"real-name" not in found.body, f"{what}: {found.body}")
                    has_usage = b"prompt_tokens" in found.body
                    check(has_usage == (asked != b'"stream":true'), f"{what}: usage: {has_usage}")
                    if b"stream" not in asked:
                        completion = json.loads(found.body)
                        text = completion["choices"][0]["message"]["content"]
                        models = {completion["model"]}
                    else:
                        check(found.body.endswith(DONE), f"{what}: {found.body}")
                        events = [event.removeprefix(b"data: ") for event in found.body.split(b"\n\n")]
                        chunks = [json.loads(event) for event in events if event.startswith(b"{")]
                        choices = [choice for one in chunks for choice in one["choices"]]
                        text = "".join(choice["delta"].get("content") or "" for choice in choices)
                        models = {one["model"] for one in chunks}
                    check((text, models) == (REDACTED, {"large"}), f"{what}: {text}, {models}")
                check(len(upstream.requests) == seen + 1, f"{what}: the second one is from the cache")
                request = upstream.requests[-1]
                check(b'"model":"real-name"' in request["body"], f"{what}: {request['body']}")
                check(request["fields"]["authorization"] == "Bearer sk-0123", f"{what}: the gateway's key")
                check((b'"include_usage":true' in request["body"]) == (b"stream" in asked), f"{what}: asks for usage")


def failures(upstream):
    """What isn't whole is no success, and isn't kept."""
    with Minimal(upstream) as gateway:
        rows = [
            ("a cut stream", answer(chunk()), (200, 502)),
            ("an error in mid-stream", answer(chunk() + data({"error": {"message": "no"}})), (200, 502)),
            ("an error", answer(b'{"error":{"message":"no"}}', "application/json"), (502, 502)),
            ("status 429", answer(b"{}", "application/json", "429 No"), (429, 429)),
            ("a page", answer(b"<html>", "text/html"), (502, 502)),
        ]
        for what, sent, expected in rows:
            upstream.answer = lambda request: [sent]
            for body, status in zip((b'{"model":"large","stream":true}', b'{"model":"large"}'), expected):
                for _ in range(2):
                    seen = len(upstream.requests)
                    found = ask(gateway, body=body)
                    check(found.status == status, f"{what}, {body}: status {found.status}")
                    check(DONE not in found.body, f"{what}, {body}: {found.body}")
                    check(len(upstream.requests) == seen + 1, f"{what}, {body}: isn't kept")
        found = ask(gateway, body=b'{"model":"large","model":"other"}')
        check(found.status == 400, f"a request that servers read differently: status {found.status}")


run((conversions, failures))
