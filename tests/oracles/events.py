"""Compares the events of deltawire with those of parsers from npm.

`events.py DELTAWIRE FOLDER [--update]`, where FOLDER has the packages. Each stream is read whole and in pieces.
The events of all runs of deltawire must be the same. Those of a parser are compared with them: type, data,
last event ID, reconnection time, and the last two at the end of the stream.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import differences
import streams

SIZES = [0, 1, 7, 61]


def framed():
    """Returns the bytes of each vector of a suite of framing, and the last event ID to begin with."""
    vectors = ((name, vector) for name, vector in streams.vectors("sse") if "expected" in vector and "input_b64" in vector)
    return {name: (streams.decoded(vector["input_b64"]), vector.get("initial_last_event_id", "")) for name, vector in vectors}


def deltawire(program, files, last_event_id, size):
    """Returns the events of each file, and the state at its end."""
    options = ["--events", *(["--piece", str(size)] if size else []), f"--last-event-id={last_event_id}"]
    run = subprocess.run([program, *options, *files], capture_output=True, check=True)
    results, events = [], []
    for line in run.stdout.splitlines():
        event = json.loads(line)
        if "event" in event:
            events.append({name: event[name] for name in ("event", "data", "id", "retry")})
        elif "end" in event:
            end = {name: event["end"][name] for name in ("last_event_id", "reconnection_time")}
            results.append({"events": events, "end": end})
            events = []
    if len(results) != len(files):
        sys.exit(f"deltawire prints the events of {len(results)} streams, not of {len(files)}")
    return results


def ours(program, inputs):
    """Returns the events of each input (file, last event ID), and exits if a cut changes them."""
    found = {}
    for first in sorted({last_event_id for _, last_event_id in inputs.values()}):
        names = [name for name, (_, last_event_id) in inputs.items() if last_event_id == first]
        files = [inputs[name][0] for name in names]
        runs = [deltawire(program, files, first, size) for size in SIZES]
        for name, whole, *cuts in zip(names, *runs):
            if any(cut != whole for cut in cuts):
                sys.exit(f"deltawire: {name} has other events in pieces")
            found[name] = whole
    return found


def theirs(packages, inputs):
    """Yields name, parser, size of the pieces, and the events."""
    lines = [json.dumps({"name": name, "file": file, "last_event_id": first}) for name, (file, first) in inputs.items()]
    script = pathlib.Path(__file__).with_suffix(".mjs")
    run = subprocess.run(["node", script, packages], input="\n".join(lines).encode(), stdout=subprocess.PIPE, check=True)
    for line in run.stdout.splitlines():
        result = json.loads(line)
        yield result["name"], result["parser"], result["size"], result["seen"]


def main():
    program, packages = sys.argv[1:3]
    has_shared = streams.has_shared()
    bodies = {name: (body, "") for name, body in streams.own().items()}
    if has_shared:
        bodies |= {name: (body, "") for name, body in streams.recordings().items()} | framed()
    found, events, runs = {}, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        inputs = {}
        for number, (name, (body, first)) in enumerate(bodies.items()):
            file = pathlib.Path(folder) / f"{number}.sse"
            file.write_bytes(body)
            inputs[name] = (str(file), first)
        expected = ours(program, inputs)
        for name, parser, size, seen in theirs(packages, inputs):
            events += len(seen["events"])
            runs += 1
            if seen != expected[name]:
                found[name, f"{parser} in pieces of {size}" if size else parser] = [seen, expected[name]]
    if runs < 2 * len(bodies):
        sys.exit(f"{runs} runs of parsers over {len(bodies)} streams")
    differences.compare("events", found, lambda name: name in bodies or has_shared)
    print(f"parsers from npm: {len(bodies)} streams, {events} events, {len(found)} known differences")


main()
