"""What an account's customers see and do themselves: signing up and in, their invoices, billing info and details."""
