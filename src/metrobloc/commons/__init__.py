"""Institutions that every application shares, declared like applications."""
