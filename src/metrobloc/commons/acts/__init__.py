"""Acts: calls of several accounts, proposed on the ledger, approved over days, and done together or not at all."""
