"""Chaos: load through the public API, faults from outside, and an audit that compares a ledger of attempts with what is stored and mailed."""
