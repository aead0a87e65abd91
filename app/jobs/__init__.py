"""The dashboard of background jobs, for whoever looks after this server."""
