"""The card gateway: saved cards, collecting invoices from them, refunds; Stripe, or a test gateway for the demo."""
