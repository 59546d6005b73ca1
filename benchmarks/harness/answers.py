"""Says whether two answers are the same. A wrong answer has no time.

An answer of Query 2 is {"groups": int, "revenue": float, "top": [{"prefix": str, "revenue": float}, ...]}. Query 1 has no total, and
its groups are the pages found; Query 3 has "visits" instead of a total, Query 4 "links". Of an example, "table" has all rows. The rows of "top" have the columns of the query's result. It may
add "rows" (read) and "hash" (the engine's own, over all groups). Sums are compared exactly: adRevenue is
a multiple of 2^-24, so adding 32-bit values in 64 bits loses nothing in any order.
"""

import hashlib
import json
import math

from peers import examples

TOP = 10
# What is added up over all groups, by the query.
TOTALS = ("revenue", "visits", "links")


def differences(expected, found):
    """What is wrong with `found`, one sentence each; empty when it is right."""
    if "table" in expected:
        wrong = examples.difference(expected["table"], found.get("table") or [])
        return [wrong] if wrong else []
    wrong = []
    for key in ("groups", *TOTALS):
        if key in expected and found.get(key) != expected[key]:
            wrong.append(f"{key} is {found.get(key)!r}, expected {expected[key]!r}")
    expected_top, found_top = top_rows(expected), top_rows(found)
    if len(found_top) != len(expected_top):
        wrong.append(f"top has {len(found_top)} groups, expected {len(expected_top)}")
    for place, (right, ours) in enumerate(zip(expected_top, found_top), start=1):
        if right != ours:
            wrong.append(f"place {place} is {named(ours)}, expected {named(right)}")
            break
    return wrong


def top_rows(answer):
    """The first rows by their first number, ties by their text, as comparable tuples: text first."""
    rows = [tuple(sorted_columns(row)) for row in answer.get("top") or []]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:TOP]


def sorted_columns(row):
    """The values of a row in the order in which queries give their columns, whatever the order and the kind of number an engine has."""
    texts = [row[column] for column in ("prefix", "sourceIP", "pageURL", "destPage") if column in row]
    return texts + [float(row[column]) for column in ("revenue", "totalRevenue", "pageRank", "totalCount") if column in row]


def named(row):
    """A row in words."""
    return f"{row[0]} with " + " and ".join(repr(number) for number in row[1:])


def digest(answer):
    """A short hash of what all engines report alike, to stand beside a time in the results; an error where it is no answer."""
    if "table" in answer:
        # Fewer digits than are compared: answers that are equal have one hash, as good as always.
        cells = [f"{value:.9e}" if isinstance(value, float) else value for row in answer["table"] for value in row]
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]
    totals = [answer["groups"]]
    totals += [float(answer["revenue"]).hex()] if "revenue" in answer else []
    totals += [answer[key] for key in ("visits", "links") if key in answer]
    if not all(math.isfinite(answer.get(total) or 0) for total in TOTALS):
        raise ValueError("a total is no number")
    text = json.dumps([*totals, top_rows(answer)], allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def written_digest(directory):
    """(rows, hash) of all result files in a directory, whatever their number, names and row order.

    Numbers are compared by value, because engines print 0.00001 in different ways.
    """
    rows, total = 0, 0
    for path in sorted(directory.rglob("*")):
        # Markers and manifests start with '_' or '.', or are JSON; all else must be rows.
        if not path.is_file() or path.name[0] in "_." or path.suffix == ".json":
            continue
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                prefix, revenue = line.rstrip("\n").rsplit(",", 1)
                if revenue == "revenue":
                    continue
                row = f"{prefix},{float(revenue).hex()}".encode()
                total += int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "little")
                rows += 1
    return rows, f"{total % 2**64:016x}"
