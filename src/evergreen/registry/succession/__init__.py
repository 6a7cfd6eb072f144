"""The succession of champions: the one place that changes which version is champion or challenger.

`candidates` ends a training (promotes, rejects, or waits for a person's answer or for the end of a trial),
`rollback` makes a former champion champion again and withdraws one that answers badly, `trial` starts and
ends trials, `erasure` ends a use case's succession. `aliases` moves MLflow's aliases and is imported by these
modules only (a unit test checks it).

Rules for every function that changes something:

- The caller holds `evergreen.registry.lock.lock_use_case` of that use case for the whole decision.
- The ledger is written before the alias. A process that is killed in between leaves a line without its
  champion, which the next call completes; it never leaves a champion without a line.
- A second call with the same arguments changes nothing more and returns what the first one did.
"""
