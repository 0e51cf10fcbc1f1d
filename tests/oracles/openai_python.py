"""Compares completions of deltawire with those that openai-python accumulates from the same bytes.

`openai_python.py DELTAWIRE [--update]`. The bytes go through openai-python's own client, as the body of a
response: its decoder of events, its chunks, and `ChatCompletionStreamState`. Absent members, `null` and
empty values are alike.
"""

import json
import logging
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import httpx2
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

import differences
import streams


def accumulate(client, is_filtered):
    """Returns the completion that openai-python has at the end of a body, and its failure.

    Its `stream` skips chunks without `object`. The state that it documents for callers doesn't.
    """
    request = {"model": "m", "messages": []}
    state, failure = ChatCompletionStreamState(), None
    try:
        if is_filtered:
            with client.chat.completions.stream(**request) as stream:
                state = stream
                stream.until_done()
        else:
            for chunk in client.chat.completions.create(**request, stream=True):
                state.handle_chunk(chunk)
    except openai.APIError as error:
        failure = {"error": error.message}
    except Exception as error:
        # Its own faults have many types. All of them end the stream for its caller.
        failure = {"fault": type(error).__name__}
    try:
        return state.current_completion_snapshot.to_dict(mode="json", warnings=False), failure
    except AssertionError:
        return {}, failure


def theirs(body):
    """Returns the result of `accumulate`, without its filter if no chunk passes that."""
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    transport = httpx2.MockTransport(lambda request: answer)
    base = {"api_key": "none", "base_url": "http://localhost/v1", "max_retries": 0}
    with openai.OpenAI(**base, http_client=httpx2.Client(transport=transport)) as client:
        completion, failure = accumulate(client, is_filtered=True)
        if completion or failure:
            return completion, failure
        all_chunks = accumulate(client, is_filtered=False)
    return ({}, None) if "fault" in (all_chunks[1] or {}) else all_chunks


def reports(program, bodies):
    """Returns the report of deltawire for each body."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, body in enumerate(bodies):
            files.append(pathlib.Path(folder) / f"{number}.sse")
            files[-1].write_bytes(body)
        run = subprocess.run([program, "--report", *files], capture_output=True)
    lines = run.stdout.splitlines()
    if len(lines) != len(files):
        sys.exit(f"deltawire prints {len(lines)} reports of {len(files)}: {run.stderr.decode()}")
    return [json.loads(line) for line in lines]


def without_empty(value):
    """Returns a value without members that are null or empty, which a merge doesn't tell apart."""
    if isinstance(value, dict):
        members = {name: without_empty(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member not in (None, "", [], {})}
    if isinstance(value, list):
        return [without_empty(element) for element in value]
    return value


def leaves(value, path=""):
    """Returns the scalars of a value by their path, and lists of scalars as one."""
    if isinstance(value, dict):
        return {p: leaf for name, member in value.items() for p, leaf in leaves(member, f"{path}.{name}").items()}
    if isinstance(value, list) and any(isinstance(element, (dict, list)) for element in value):
        return {p: leaf for i, element in enumerate(value) for p, leaf in leaves(element, f"{path}[{i}]").items()}
    return {path.lstrip("."): value}


def field_of(path):
    """Returns the member that is merged as a whole, without positions: a difference deeper in it is one of it."""
    path = re.sub(r"\[\d+\]", "[]", path)
    nested = r"(choices\[\]\.(message\.((tool_calls\[\]|function_call)\.(function\.)?|reasoning_details\[\]\.)?)?)?[^.\[]+"
    return re.match(nested, path)[0]


def differing(theirs, ours):
    """Returns the fields that differ, each with the list of both values."""
    theirs, ours = leaves(without_empty(theirs)), leaves(without_empty(ours))
    fields = {}
    for path in sorted(theirs.keys() | ours.keys()):
        both = [theirs.get(path), ours.get(path)]
        # `True == 1` in Python.
        if json.dumps(both[0]) != json.dumps(both[1]) and (both[0] != both[1] or bool in map(type, both)):
            fields.setdefault(field_of(path), []).append([path, *both])
    return fields


def main():
    # Members of other types are in the table, if they matter.
    logging.disable()
    warnings.simplefilter("ignore")
    bodies = streams.own()
    has_shared = streams.has_shared()
    if has_shared:
        bodies |= streams.recordings() | streams.accumulated()
    found, fields = {}, 0
    for (name, body), report in zip(bodies.items(), reports(sys.argv[1], bodies.values())):
        completion, failure = theirs(body)
        ours = report["completion"]
        # A mark of deltawire, for caches. The outcome beside it is compared.
        ours.pop("not_whole", None)
        if failure and "fault" in failure:
            found[name, "fault"] = [failure["fault"]]
            continue
        fields += len(leaves(without_empty(ours)))
        error = (report["error"] or {}).get("message")
        if (failure or {}).get("error") != error:
            found[name, "error"] = [(failure or {}).get("error"), error]
        if not completion:
            # No chunk passed its filter on `object`. A completion of deltawire always has one.
            ours.pop("object")
            if without_empty(ours):
                found[name, "completion"] = [None, ours]
            continue
        for field, values in differing(completion, ours).items():
            found[name, field] = values
    differences.compare("openai_python", found, lambda name: name in bodies or has_shared)
    print(f"openai-python {openai.__version__}: {len(bodies)} streams, {fields} fields, {len(found)} known differences")


main()
