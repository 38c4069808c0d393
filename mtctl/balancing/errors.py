"""What `mtctl.balance` refuses."""

from __future__ import annotations

from mtctl.errors import MtctlError


class BalanceError(MtctlError, ValueError):
    """Losses, settings or a saved state that balancing cannot work with; nothing has been changed.

    Args:
        message: what is wrong, with the task or the setting it concerns.
        hint: what to do about it; Python's traceback shows it below the message.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        if hint:
            self.add_note(f"hint: {hint}")


class NonFiniteError(BalanceError):
    """A loss or gradient that is NaN or infinite."""
