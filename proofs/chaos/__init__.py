"""Kills everything at random while the worker works, then audits the ledger (docs/chaos.md)."""
