"""The benchmark harness: runs peers on the same files, compares their answers, then their times.

Started by `scripts/bench`; the conditions it keeps are in benchmarks/README.md.

    bench.py     the whole run, in order
    options.py   what was typed
    cases.py     which engine runs which query with how many threads
    assignment.py  a run of its own: the two ways to assign splits, on even and on uneven files
    alone.py     the frame of the runs of its own that measure Millrace alone: cluster.py, incremental.py
    cluster.py   a run of its own: several processes against threads of one, the wire, the start
    hostile.py   the same: a run among strangers that connect, for cluster.py
    incremental.py  a run of its own: what a new file costs who keeps totals current
    validation.py  a run of its own: what `cost --instances` predicts beside what is measured
    dataset.py   makes the input and warms the page cache
    peers.py     speaks with an engine's `install`, `load` and `query`
    answers.py   says whether two answers are the same
    rounds.py    the interleaved rounds, each row with its answer or its failure
    figures.py   medians, ratios and how numbers are written
    targets.py   what issue-level targets the figures meet or miss
    limited.py   targets and tables of the run in limited memory
    machine.py   what the run ran on, without naming anyone's machine
    results.py   results.jsonl of a run, row by row
    headline.py  the README's tables of results, from all runs
    report.py    README.md and summary.md of a run, at its end
"""
