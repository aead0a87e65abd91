"""What goes on in an account: background work, mails of the product itself, and the audit."""
