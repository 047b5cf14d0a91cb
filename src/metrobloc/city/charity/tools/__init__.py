"""Replay real data on a playground chain: every gift a transaction signed by its own donor. Runs off the ledger."""
