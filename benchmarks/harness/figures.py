"""Medians, ratios, and how numbers are written for people."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """The middle, the least and the greatest of some measurements."""

    middle: float
    least: float
    greatest: float


def spread(values):
    """Spread of the values that are there; None when any is missing, for a half-failed case has no median."""
    values = list(values)
    if not values or any(value is None for value in values):
        return None
    return Spread(median(values), min(values), max(values))


def ratio(above, below):
    """How many times `below` goes into `above`; None when either is missing."""
    if above is None or below is None or below == 0:
        return None
    return above / below


def paired_ratios(above, below):
    """Ratio of each round's two times, taken back to back; None where a round has only one of them."""
    if len(above) != len(below):
        raise ValueError(f"{len(above)} rounds against {len(below)}")
    return [ratio(first, second) for first, second in zip(above, below)]


def seconds(value):
    """Seconds with three places, or 'failed'."""
    return "failed" if value is None else f"{value:.3f}"


def taken(value):
    """Seconds in few digits, with their unit."""
    return "failed" if value is None else f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def times(value):
    """A ratio for a table."""
    return "n/a" if value is None else f"{value:.2f}×"


def megabytes(value):
    """Bytes as decimal megabytes."""
    return "n/a" if value is None else f"{value / 1e6:,.0f} MB"


def table(header, rows):
    """A Markdown table; the first column left, the rest right aligned."""
    marks = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in [header, marks, *rows]) + "\n"
