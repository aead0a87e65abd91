"""What a browser calls itself, in words by which a person knows it again."""

# The order matters: most claim to be others too.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_words(user_agent: str) -> str:
    """Such as "Firefox on Windows"; "A browser" where nothing is known."""
    browser = next((word for sign, word in _BROWSERS if sign in user_agent), "A browser")
    system = next((word for sign, word in _SYSTEMS if sign in user_agent), "")
    return f"{browser} on {system}" if system else browser
