"""The streams that all oracles read, by name: the project's own, and those of ../shared."""

import base64
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def has_shared():
    """Returns true if ../shared is there. Its absence is a failure if DELTAWIRE_REQUIRE_SHARED is set."""
    if (SHARED / "corpus").is_dir() and (SHARED / "vectors").is_dir():
        return True
    if "DELTAWIRE_REQUIRE_SHARED" in os.environ:
        sys.exit("the recordings and vectors in ../shared are required")
    print("not compared: the recordings and vectors of ../shared are absent", file=sys.stderr)
    return False


def own():
    """Returns the streams in tests/streams."""
    files = sorted((ROOT / "tests/streams").glob("*.sse"))
    return {f"streams/{file.name}": file.read_bytes() for file in files}


def recordings():
    """Returns all recordings, whichever API they are of."""
    lines = (SHARED / "corpus/MANIFEST.tsv").read_text().splitlines()
    files = [line.split("\t")[0] for line in lines[1:]]
    return {f"corpus/{file}": (SHARED / "corpus" / file).read_bytes() for file in files}


def vectors(folder):
    """Returns the lines of all files in a folder of vectors, as (name, vector)."""
    for file in sorted((SHARED / "vectors" / folder).glob("*.jsonl")):
        # Some texts have line separators of Unicode, at which `splitlines` would cut.
        for number, line in enumerate(file.read_text().strip("\n").split("\n"), start=1):
            vector = json.loads(line)
            yield f"{folder}/{vector.get('name') or f'{file.stem}/{number}'}", vector


def accumulated():
    """Returns the chunks of each vector as a stream that ends with [DONE]."""
    streams = {}
    for name, vector in vectors("accumulate"):
        payloads = [json.dumps(chunk, ensure_ascii=False) for chunk in vector["chunks"]] + ["[DONE]"]
        streams[name] = "".join(f"data: {payload}\n\n" for payload in payloads).encode()
    return streams


def decoded(text):
    return base64.b64decode(text)
