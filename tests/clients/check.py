"""Whether clients see through the gateway what they see without it.

`check.py client NAME DIRECT GATEWAY` compares what one client has written of each case, and holds it
against the completions beside the recordings. `check.py langchain NAME DIRECT GATEWAY` does so for
LangChain's own chunks. `check.py wire DIRECT-URL GATEWAY-URL` asks for each case
itself and compares bytes.
"""

import http.client
import json
import pathlib
import sys
import urllib.parse

folder = pathlib.Path(__file__).parent
streams = folder.parent / "streams"
failed = []


def check(holds, what):
    if not holds:
        failed.append(what)
        print(f"  FAILED {what}")


def texts(chunks):
    """Per choice: content, reasoning, arguments of all calls, finish reason."""
    choices = {}
    for chunk in chunks:
        for choice in chunk.get("choices") or []:
            found = choices.setdefault(choice["index"], ["", "", "", None])
            delta = choice.get("delta") or {}
            found[0] += delta.get("content") or ""
            found[1] += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for call in delta.get("tool_calls") or []:
                found[2] += call["function"].get("arguments") or ""
            found[3] = choice.get("finish_reason") or found[3]
    return [choices[index] for index in sorted(choices)]


def langchain_texts(chunks):
    """The same of LangChain's chunks, which belong to the first choice."""
    found = ["", "", "", None]
    for chunk in chunks:
        found[0] += chunk["content"]
        found[2] += "".join(call.get("args") or "" for call in chunk["tool_call_chunks"])
        found[3] = chunk["response_metadata"].get("finish_reason") or found[3]
    return [found]


def recorded(completion):
    """The same of the completion beside a recording."""
    found = []
    for choice in completion["choices"]:
        message = choice["message"]
        calls = message.get("tool_calls") or []
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        arguments = "".join(call["function"]["arguments"] for call in calls)
        found.append([message["content"] or "", reasoning, arguments, choice["finish_reason"]])
    return found


def compare_clients(name, direct, gateway, is_langchain=False):
    lines = [pathlib.Path(file).read_text().splitlines() for file in (direct, gateway)]
    cases = json.loads((folder / "cases.json").read_text())
    check([len(seen) for seen in lines] == [len(cases)] * 2, f"{name}: every case has an answer")
    for before, behind in zip(*lines):
        before, behind = json.loads(before), json.loads(behind)
        case = before["case"]
        what = f"{name}, {case['name']}"
        alias = case.get("alias")
        for chunk in before["chunks"] if alias else []:
            if not is_langchain:
                chunk["model"] = alias
            elif "model_name" in chunk["response_metadata"]:
                chunk["response_metadata"]["model_name"] = alias
        check(before["chunks"] == behind["chunks"], f"{what}: the same chunks")
        if "cut" in case.get("replay", {}) and not case.get("usage"):
            # An error event precedes the end of an edited stream, in place of the event that is cut.
            error = (behind["failure"] or {}).get("body") or {}
            check((error.get("type"), error.get("code")) == ("gateway_error", "cut"), f"{what}: {behind['failure']}")
        else:
            check(before["failure"] == behind["failure"], f"{what}: the same failure")
        check((behind["failure"] is not None) == case.get("fails", False), f"{what}: fails or not")
        usage = "usage_metadata" if is_langchain else "usage"
        has_usage = any(chunk.get(usage) for chunk in behind["chunks"])
        if not case.get("usage"):
            check(not has_usage, f"{what}: no usage")
        if not case.get("usage") and not is_langchain:
            check(all(chunk["choices"] for chunk in behind["chunks"]), f"{what}: choices in all chunks")
        if case.get("fails"):
            continue
        completion = json.loads((streams / f"{case['recording']}.json").read_text())["completion"]
        if case.get("usage"):
            check(has_usage == ("usage" in completion), f"{what}: the usage, if there is one")
        expected = recorded(completion)
        if not is_langchain:
            check(texts(behind["chunks"]) == expected, f"{what}: what was recorded")
        elif "n" not in case:
            # LangChain's chunks neither name their choice, nor have the reasoning of the recordings.
            expected[0][1] = ""
            check(langchain_texts(behind["chunks"]) == expected, f"{what}: what was recorded")
    print(f"{name}: {len(cases)} cases")


def ask(base, case, via):
    """Status, kind and bytes of an answer, and whether it broke off."""
    request = {"model": case["recording"], "messages": [], "stream": True}
    if via == "gateway" and "alias" in case:
        request["model"] = case["alias"]
    if case.get("usage"):
        request["stream_options"] = {"include_usage": True}
    headers = {f"x-replay-{name}": value for name, value in case.get("replay", {}).items()}
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(base).netloc, timeout=30)
    connection.request("POST", "/v1/chat/completions", json.dumps(request), headers)
    answer = connection.getresponse()
    try:
        body, broke = answer.read(), False
    except http.client.IncompleteRead as error:
        body, broke = error.partial, True
    connection.close()
    return answer.status, answer.getheader("content-type"), body, broke


def compare_wire(direct, gateway):
    cases = json.loads((folder / "cases.json").read_text())
    sent = 0
    for case in cases:
        before, behind = ask(direct, case, "direct"), ask(gateway, case, "gateway")
        if "alias" in case:
            # Of the recordings' models none has its name in a text.
            body = before[2].decode()
            chunks = [line[6:] for line in body.split("\n") if line.startswith("data: {")]
            for model in {json.loads(chunk).get("model") for chunk in chunks} - {None}:
                body = body.replace(f'"model":"{model}"', f'"model":"{case["alias"]}"')
            before = (*before[:2], body.encode(), before[3])
        is_edited = "alias" in case or not case.get("usage")
        if before[3] and is_edited:
            # An event that is cut may show what is hidden. An error event stands in its place.
            whole = before[2][: before[2].rfind(b"\n\n") + 2]
            error = behind[2][len(whole) :]
            check(error.startswith(b'data: {"error":{') and error.endswith(b"\n\n"), f"wire, {case['name']}: {error}")
            before, behind = (*before[:2], whole, before[3]), (*behind[:2], behind[2][: len(whole)], behind[3])
        elif before[2].rstrip(b"\n").endswith(b"[DONE]"):
            # The gateway closes a last event that lacks its blank line.
            before = (*before[:2], before[2].rstrip(b"\n") + b"\n\n", before[3])
        check(before == behind, f"wire, {case['name']}: byte for byte")
        check(before[3] == ("cut" in case.get("replay", {})), f"wire, {case['name']}: breaks or not")
        if case.get("usage") and not case.get("replay") and "alias" not in case:
            recording = (streams / f"{case['recording']}.sse").read_bytes()
            check(behind[2] == recording, f"wire, {case['name']}: the recording")
        sent += len(behind[2])
    print(f"wire: {len(cases)} cases, {sent} bytes")


if sys.argv[1] == "client":
    compare_clients(*sys.argv[2:])
elif sys.argv[1] == "langchain":
    compare_clients(*sys.argv[2:], is_langchain=True)
else:
    compare_wire(*sys.argv[2:])
sys.exit(1 if failed else 0)
