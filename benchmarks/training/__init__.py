"""How good models are and how fast they are made, in one run on one machine.

    python -m benchmarks.training [--quick | --rows N] [--csv TRAIN_CSV] [--only demo] [--json]
                                                                                           (make bench-train)

credit_score is measured on the simulated bank's rows, which go the whole way: a private MariaDB, the ingest,
the training run of `evergreen train` with a real MLflow server beside it. Its search is the declared one and
runs beside an exhaustive grid on the same rows. titanic is cross-validated on the real file. The demo's tour
is taken without a stack on many dates and on many banks (`demo`, `decisions`). Nothing in Evergreen knows of
these benchmarks. Results: benchmarks/out/train.json.
"""
