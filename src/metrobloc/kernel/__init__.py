"""The mechanism: pure and deterministic, without a word of any domain."""
