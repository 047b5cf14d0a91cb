"""The read side: what the ledger has committed, folded into SQL. It can be dropped and rebuilt; it proves nothing."""
