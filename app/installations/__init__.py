"""Plugins switched on for an account: Marketplace, Systems, and the guard in front of every page."""
