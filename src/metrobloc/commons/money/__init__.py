"""Money and other assets: issued against a reserve, moved, held, never below a limit."""
