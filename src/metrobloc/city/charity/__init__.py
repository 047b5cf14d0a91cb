"""The sunshine charity: gifts that reach only the hospital, every cent of them public."""
