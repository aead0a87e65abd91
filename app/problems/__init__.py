"""What needs a person: one list over billing and all plugins, the bell that counts it, and the mails about it."""
