"""Who takes part: accounts and their keys, institutions and their roles."""
