"""Play a year in a town of time banks: every task, claim and confirmation signed by its own member. Off the ledger."""
