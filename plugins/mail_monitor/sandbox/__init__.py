"""Mailboxes and a mail server to try against: IMAP, SMTP that sends nothing on, and pages to look at both.

It shares no code with the plugin, and nothing of the product imports it. Start it with
`python -m plugins.mail_monitor.sandbox`.
"""
