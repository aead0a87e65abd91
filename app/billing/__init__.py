"""Customers, their invoices, and who collects them."""
