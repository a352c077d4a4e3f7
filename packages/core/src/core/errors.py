"""The one exception that users are meant to read."""


class PortraitError(Exception):
    """A failure that the user can mend: a stable code, what is wrong with which input, and what to do.

    Printed by the command lines as a single line ``CODE: message. remedy`` with a non-zero exit status.

    Attributes:
        code: stable upper-case identifier, for example ``E_NO_FACE``.
        message: what is wrong; names the input.
        remedy: what to do about it.
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{code}: {message.rstrip('.')}. {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy
