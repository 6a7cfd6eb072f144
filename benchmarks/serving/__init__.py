"""How fast serving is, in one run on one machine, beside others' ways to serve the same model.

    python -m benchmarks.serving [--quick] [--only FIELD ...] [--soak] [--json]           (make bench-serving)

credit_score with the champion that the demo trains, on a private MariaDB and an MLflow store of its own. The
service, the textbook's way, `mlflow models serve` and a no-op of the web framework take turns under the same
load (`load/`); medians of the rounds are compared. After every round that logs, each acknowledged prediction
must be in MariaDB exactly once. Nothing in Evergreen knows of these benchmarks.
Results: benchmarks/out/serving.json. docs/serving.md says how each figure is measured.
"""
