"""Why a command did not do what was asked, in words for the person who asked, and the exit statuses."""

from typing import Final

EXIT_DONE: Final = 0
EXIT_REFUSED: Final = 1
"""Also the answer "no": the worker is not well, the credits do not add up."""
EXIT_USAGE: Final = 2
"""argparse's own."""
EXIT_UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE (sysexits.h)."""
EXIT_MISCONFIGURED: Final = 78
"""EX_CONFIG (sysexits.h)."""
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""


class OperatorError(Exception):
    """What was asked for cannot be done; the message is for the operator."""

    exit_status = EXIT_REFUSED


class Unreachable(OperatorError):
    """Something does not answer, or not as it should."""

    exit_status = EXIT_UNAVAILABLE


class Misconfigured(OperatorError):
    """A setting is missing or malformed."""

    exit_status = EXIT_MISCONFIGURED
