"""`promptgraft demo`."""

EPILOG = ""


def command() -> None:
    """See it all on one page, in minutes."""
