"""Pages of the plugin: each module hangs its views on the one blueprint."""

from plugins.mail_monitor.routes import accounts, choices, imports, messages, quarantine, strangers

__all__ = ["accounts", "choices", "imports", "messages", "quarantine", "strangers"]
