"""Escrow: money set aside for somebody in instalments, each paid when its condition is met or returned in time."""
