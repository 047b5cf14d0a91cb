"""What the ledger knows of private documents that lie elsewhere: where, whose, who may read, who has, what is gone."""
