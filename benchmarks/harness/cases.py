"""Which engine runs which query with how many threads, and which of those runs share a block.

A block is one query over one input: its cases take turns (A B C, A B C, ...), so that a slow minute
of the machine hits all of them alike, and all must give the same answer.
"""

from dataclasses import dataclass

from harness.figures import megabytes
from harness.options import FORMATS
from peers.examples import EXAMPLES
from peers.queries import LINKS, PREFIXES, THRESHOLDS, WITHOUT_MATCHES

# An engine's own tables, made by its `load`.
NATIVE = "native"
# Engines with such tables.
WITH_TABLES = ("duckdb",)
HELD = "held"
WRITTEN = "written"
FOLDED = "folded"
NO_PACKED = "reads no packed files: the format is Millrace's own"
NO_MATCHES = "its SQL has no function for all matches of a pattern in a line"
# Bytes that a process may use, in the runs in limited memory.
LIMITS = (512 * 10**6, 256 * 10**6)


@dataclass(frozen=True)
class Case:
    """One engine at one setting. `workers` counts threads of each of `processes` processes; `flags` are the engine's own.

    `memory_bytes` is what each process may use; None leaves it to the engine. `reads` is what it reads in place of the block's format.
    `cannot` is why the engine cannot do it at all: its result is null, and it is not run.
    """

    engine: str
    workers: int
    processes: int = 1
    flags: tuple = ()
    memory_bytes: int | None = None
    reads: str | None = None
    cannot: str | None = None

    @property
    def setting(self):
        """How a reader knows the case: the flags of ours, the thread count of others."""
        if self.engine != "millrace":
            words = f"{self.workers} thread" + ("s" if self.workers > 1 else "") + (f", {self.reads}" if self.reads else "")
            return words if self.memory_bytes is None else f"{words}, {megabytes(self.memory_bytes)}"
        counts = f"-n {self.processes} -w {self.workers}" if self.processes > 1 else f"-w {self.workers}"
        limit = () if self.memory_bytes is None else (f"--memory {self.memory_bytes // 10**6}MB",)
        return " ".join((counts, *limit, *self.flags))


@dataclass(frozen=True)
class Block:
    """One query over one input, with the cases that take turns at it."""

    rows: int
    query: str
    mode: str
    cases: tuple
    format: str = "csv"

    @property
    def tables(self):
        """The tables that the query reads."""
        if self.query in EXAMPLES:
            return EXAMPLES[self.query].tables
        if self.query == LINKS:
            return ("documents",)
        if self.query in PREFIXES:
            return ("uservisits",)
        return ("rankings",) if self.query in THRESHOLDS else ("rankings", "uservisits")


def cases_for(peers, small):
    """Every case of the given peers, in the order in which they take turns.

    `-w 1` and `-w 2` stand side by side because their ratio is judged. `small` leaves only the
    settings that carry a target.
    """
    cases = []
    for peer in peers:
        if peer == "millrace":
            cases += [Case(peer, 2)] if small else [Case(peer, 1), Case(peer, 2), Case(peer, 1, processes=2)]
        else:
            # The sessions of a block are open together: one more of each engine would not fit in memory.
            cases += [Case(peer, 2)] if small or peer != peers[0] else [Case(peer, 2), Case(peer, 1)]
    return tuple(cases)


def packed_cases(peers):
    """Millrace on files that only it reads, against the fastest that others have of their own: tables, and Parquet."""
    cases = [Case(peer, 2, reads=reads) for peer in peers if peer in WITH_TABLES for reads in ("parquet", NATIVE)]
    cases += [Case(peer, 2) for peer in peers if peer == "millrace"]
    return tuple(cases + [Case(peer, 2, cannot=NO_PACKED) for peer in peers if peer != "millrace"])


def crawl_cases(peers):
    """Every engine on the text of the crawl, of which some can make nothing."""
    return tuple(Case(peer, 2, cannot=NO_MATCHES if peer in WITHOUT_MATCHES else None) for peer in peers)


def limited_cases(peers):
    """Every peer with as much memory as it likes, and with less than the groups of Query 2C need."""
    return tuple(Case(peer, 2, memory_bytes=limit) for limit in (None, *LIMITS) for peer in peers)


def blocks_for(options):
    """All blocks of a run, in order."""
    if options.limited:
        return [Block(options.rows, "2C", FOLDED, limited_cases(options.peers))]
    if options.examples:
        cases = cases_for(options.peers, small=True)
        return [Block(options.rows, example, HELD, cases) for example in EXAMPLES]
    blocks = []
    for query in options.queries:
        for form in options.formats:
            blocks += blocks_of(query, form, options)
    if options.memory_scale:
        for query in [query for query in ("2A", "2C") if query in options.queries]:
            rows = options.rows * options.memory_scale
            blocks.append(Block(rows, query, HELD, cases_for(options.peers, small=True), options.formats[0]))
    return [block for block in blocks if any(case.cannot is None for case in block.cases)]


def blocks_of(query, form, options):
    """The blocks of one query over one format."""
    if query == LINKS:
        # The crawl is text whatever the tables are kept in, and its links have characters that engines quote in different ways when they write.
        return [Block(options.rows, query, HELD, crawl_cases(options.peers))] if form == "csv" else []
    # Query 1 only copies rows out, so its result is what it wrote; the result of Query 3 is its few first rows.
    modes = (WRITTEN,) if query in THRESHOLDS else (HELD, WRITTEN) if query in PREFIXES else (HELD,)
    blocks = []
    for mode in modes[:1] if options.compared_only or form == "packed" else modes:
        small = options.compared_only or mode == WRITTEN or query not in PREFIXES
        cases = packed_cases(options.peers) if form == "packed" else cases_for(options.peers, small)
        blocks.append(Block(options.rows, query, mode, cases, form))
    return blocks


def formats_of(blocks):
    """The formats in which the blocks want their tables, CSV first: beside packed files others read Parquet, or what is made of it."""
    wanted = {block.format for block in blocks}
    if "packed" in wanted:
        wanted.add("parquet")
    return tuple(form for form in FORMATS if form in wanted)
