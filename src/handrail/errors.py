"""The error tree. A face turns each into one sentence; nothing else reaches a user.

HandrailError
├── InvalidInput     the caller said something that cannot be taken (422, exit 2)
├── NotFound         no such session, approval, agent, … (404, exit 2)
├── Conflict         true now, but not in this state (409, exit 2)
├── Forbidden        not allowed (403, exit 2)
├── SignInNeeded     nobody has said who they are, or not in a way that still holds (401, exit 2)
├── MissingPart      a program or package this machine lacks (424, exit 2)
├── StorageFull      the data directory takes no more (507, exit 1)
├── SandboxError     the walls could not be raised; nothing was started (503, exit 1)
├── AgentError       the agent broke its protocol, died or reported a failure (502, exit 1)
├── ProviderError    a model provider refused or failed (502, exit 1)
├── ForgeError       a forge refused an effect or failed; `cause` says which way (502, exit 1)
└── Unavailable      the server is not there, or not yet (503, exit 1)
"""

from __future__ import annotations

from typing import ClassVar


class HandrailError(Exception):
    """The base: `message` is one sentence for a person, `status` its HTTP status, `exit_code` its CLI status."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(HandrailError):
    """A field holds a value that cannot be taken.

    Args:
        field: the field, option or argument by its public name.
        value: what was given (shortened and made printable here).
        mend: what to give instead, as the end of a sentence.
    """

    code = "invalid_input"
    status = 422
    exit_code = 2

    def __init__(self, field: str, value: object, mend: str) -> None:
        shown = repr(value)
        if len(shown) > 120:
            shown = shown[:117] + "…" + shown[-1]
        super().__init__(f"{field}: {shown} cannot be used: {mend}")
        self.field = field
        self.value = value
        self.mend = mend


class NotFound(HandrailError):
    """Nothing of that name is here."""

    code = "not_found"
    status = 404
    exit_code = 2


class Conflict(HandrailError):
    """The request is sound, but not in the state things are in now."""

    code = "conflict"
    status = 409
    exit_code = 2


class Forbidden(HandrailError):
    """The caller may not do this."""

    code = "forbidden"
    status = 403
    exit_code = 2


class SignInNeeded(HandrailError):
    """The caller did not say who they are, or not in a way that still holds."""

    code = "sign_in_needed"
    status = 401
    exit_code = 2


class MissingPart(HandrailError):
    """This machine lacks a program; the message names the package that brings it."""

    code = "missing_part"
    status = 424
    exit_code = 2


class StorageFull(HandrailError):
    """The data directory has no room left; what was shown before is safe."""

    code = "storage_full"
    status = 507


class SandboxError(HandrailError):
    """The walls could not be raised, so nothing was started."""

    code = "sandbox"
    status = 503


class AgentError(HandrailError):
    """The agent could not be started, broke its protocol, or said that it failed."""

    code = "agent"
    status = 502


class ProviderError(HandrailError):
    """A model provider refused the call or could not be reached."""

    code = "provider"
    status = 502


class ForgeError(HandrailError):
    """A forge refused an effect or failed.

    Args:
        message: one sentence for a person.
        wait: seconds after which it is worth another try, where that is known.
    """

    code = "forge"
    status = 502
    cause: ClassVar[str] = "forge"
    """a stable word for programs; `handrail.forges.faults` has one a kind"""
    passing: ClassVar[bool] = False
    """the same act may succeed later, with nothing changed"""

    def __init__(self, message: str, *, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Unavailable(HandrailError):
    """The server is not running, or not ready yet."""

    code = "unavailable"
    status = 503
