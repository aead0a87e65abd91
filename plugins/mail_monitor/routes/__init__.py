"""Pages of the plugin: each module hangs its views on the one blueprint."""

from plugins.mail_monitor.routes import accounts

__all__ = ["accounts"]
