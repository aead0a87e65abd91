"""Mails that the product itself sends: invitations, resets, notices, invoices."""
