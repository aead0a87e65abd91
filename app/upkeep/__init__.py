"""What whoever looks after the server needs: figures to watch, and what goes every night."""
