"""What the sandbox makes up, as its page tells it."""

INVENTIONS = (
    ("Nothing leaves this machine", "Every mail is taken and shown under Sent, whoever it is for."),
    ("Mailboxes", "A mail to one of the mailboxes here arrives in its inbox, also when another one sent it."),
    ("refused@…", "Nobody by this name, at any domain: refused for good (550) while it is handed in."),
    ("later@…", "Somebody whose server is busy: refused for now (451), so that it has to be tried again."),
    ("Sent", "A mail that is handed in is not put into the sender's folder Sent; Gmail and Microsoft would do that."),
    ("Resetting", "Every folder gets another UIDVALIDITY, as after a restored backup, and the same letters."),
    ("Sign-in", "IMAP wants the password, SMTP also takes mail without a sign-in, as a relay next door."),
)
"""What, and how."""
