"""How a try can fail."""


class FailedError(Exception):
    """A try failed; `reason` is in our words, never the provider's, which may repeat content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RefusedError(FailedError):
    """It will fail again, however often it is tried."""


class UnavailableError(FailedError):
    """It may work later. A key that is refused counts here: it may just be in rotation."""


REFUSING = range(400, 500)
PASSING = {401, 403, 404, 408, 425, 429}  # of those, what a mended key, address or load makes good


def of_status(status: int) -> FailedError:
    """Return what an HTTP status of a provider means."""
    if status in REFUSING and status not in PASSING:
        return RefusedError(f"refused by the provider ({status})")
    return UnavailableError(f"provider unavailable ({status})")
