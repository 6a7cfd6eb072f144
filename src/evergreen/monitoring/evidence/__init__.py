"""Collects what the governor knows from the store and the ledger: the inputs of its decision."""
