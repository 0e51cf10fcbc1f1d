"""What openai-python sees of each case: `client.py URL via`, where via is direct or gateway.

A line of JSON for each case: the chunks as they were read, and the error that ended them.
"""

import json
import pathlib
import sys

import openai

base, via = sys.argv[1:]
folder = pathlib.Path(__file__).parent
client = openai.OpenAI(base_url=base + "/v1", api_key="none", max_retries=0, timeout=30)

for case in json.loads((folder / "cases.json").read_text()):
    alias = case.get("alias") if via == "gateway" else None
    request = {
        "model": alias or case["recording"],
        "messages": [{"role": "user", "content": "Say it."}],
        "stream": True,
        "extra_headers": {f"x-replay-{name}": value for name, value in case.get("replay", {}).items()},
    }
    if "n" in case:
        request["n"] = case["n"]
    if case.get("usage"):
        request["stream_options"] = {"include_usage": True}
    seen, failure = [], None
    try:
        for chunk in client.chat.completions.create(**request):
            seen.append(json.loads(chunk.model_dump_json(exclude_unset=True)))
    except Exception as error:
        body = getattr(error, "body", None)
        failure = {"type": type(error).__name__, "message": str(error), "body": body}
    print(json.dumps({"case": case, "chunks": seen, "failure": failure}))
