"""A ledger that a metropolis and its institutions run together, provable to anybody."""

__version__ = "0.1.0"

__version__ = "0.1.0"
