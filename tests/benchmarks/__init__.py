"""What it costs, compared with `docker-registry` in pull-through mode: same machine, same run, as ratios.

`python -m tests.benchmarks` measures every row of `rows.ROWS`, interleaved, three rounds, and prints medians. Load
comes from compiled clients (wrk, curl): a Python client would be what is measured.
"""
