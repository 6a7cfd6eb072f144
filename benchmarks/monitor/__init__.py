"""How well monitoring tells drift from chance, what it costs, and what its decisions are worth, in one run.

    python -m benchmarks.monitor [--quick] [--only STAGE] [--seed N] [--cores N] [--data FOLDER] [--json]
                                                                                          (make bench-monitor)

A stage is a file of its own, stage_NAME.py, with a function `measure`; targets lie in targets.py. All numbers
are drawn from the seed. Policies are the defaults that users get. Results: benchmarks/out/monitor.json.
"""
