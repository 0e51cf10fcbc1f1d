"""Tables of known differences: each row has a reason, and each difference a row.

A table has a row `stream, field, digest, reason`. The digest is one of both values, so a listed difference
stays the one that was judged. The file of reasons has a row `reason, right, source, why`.
"""

import hashlib
import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent


def digest(values):
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read(name, columns):
    lines = (FOLDER / name).read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    if rows[:1] != [columns] or any(len(row) != len(columns) for row in rows):
        sys.exit(f"{name}: the columns are not {columns}")
    return rows[1:]


def headings(page):
    lines = (FOLDER.parents[1] / page).read_text().splitlines()
    return {line.lstrip("# ") for line in lines if line.startswith("#")}


def check_reasons(table, rows):
    """Returns the faults of the reasons: an unknown one, an unused one, a section that doesn't exist."""
    reasons = read(f"{table}.reasons.tsv", ["reason", "right", "source", "why"])
    sections = headings("docs/wire.md")
    known, used = {row[0] for row in reasons}, {row[3] for row in rows}
    faults = [f"no such reason: {reason}" for reason in sorted(used - known)]
    faults += [f"no row has the reason {reason}" for reason in sorted(known - used)]
    for reason, _, source, _ in reasons:
        section = re.fullmatch(r"docs/wire.md, (.*)", source)
        if section and section[1] not in sections:
            faults.append(f"{reason}: docs/wire.md has no section {section[1]}")
    return faults


def compare(table, found, is_read):
    """Compares differences with their table, and exits with 1 if they aren't the same.

    `found` has for each (stream, field) the list of both values; `is_read` returns true for a stream
    that was compared. With `--update` the table is written; the reason of a new row is `?`.
    """
    columns = ["stream", "field", "digest", "reason"]
    rows = read(f"{table}.tsv", columns) if (FOLDER / f"{table}.tsv").exists() else []
    known = {(stream, field): (known, reason) for stream, field, known, reason in rows}
    seen = {key: digest(values) for key, values in found.items()}
    if "--update" in sys.argv:
        kept = [row for row in rows if not is_read(row[0])]
        new = [[*key, seen[key], known.get(key, ("", "?"))[1]] for key in seen]
        lines = ["\t".join(row) for row in [columns, *sorted(kept + new)]]
        (FOLDER / f"{table}.tsv").write_text("\n".join(lines) + "\n")
        return
    faults = check_reasons(table, rows)
    for key in sorted(seen.keys() | known.keys()):
        if not is_read(key[0]):
            continue
        name = ": ".join(key)
        if key not in known:
            faults.append(f"{name} differs: {shown(found[key])}")
        elif key not in seen:
            faults.append(f"{name} is in the table, but no longer differs")
        elif seen[key] != known[key][0]:
            faults.append(f"{name} differs otherwise: {shown(found[key])}")
    for fault in faults:
        print(f"{table}: {fault}")
    if faults:
        sys.exit(1)


def shown(values):
    text = json.dumps(values, ensure_ascii=False)
    return text if len(text) < 2000 else text[:2000] + "…"
