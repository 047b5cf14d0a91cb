"""Anchors: heads of other logs, each shown to go on from the last, so that a rewritten history is noticed here."""
