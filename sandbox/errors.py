"""What keeps the sandbox from starting."""


class StartError(Exception):
    """The sandbox cannot start; `hint` says what fixes it."""

    code = 78  # sysexits.h EX_CONFIG

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
