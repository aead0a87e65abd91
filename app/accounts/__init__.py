"""Accounts, the people who work in them, and signing in."""
