"""What it costs, compared with `docker-registry` in pull-through mode: same machine, same run, as ratios.

`python -m tests.benchmarks` measures every row of `rows.ROWS` and `growth.GROWTH`, interleaved, three rounds, and
prints medians. Load comes from compiled clients (wrk, curl): a Python client would be what is measured.

Runs of their own, each with a judgement and an exit code:

- `python -m tests.benchmarks.herd`: fifty clients on one large blob, in time, upstream bytes and memory.
- `python -m tests.benchmarks.soak --minutes 10`: mixed traffic; memory stays what it was, every byte is right.
- `python -m tests.benchmarks.eviction --minutes 10`: the same through a tenth of the room that it would take.
"""
