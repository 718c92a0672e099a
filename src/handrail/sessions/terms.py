"""What the policy says of one session's walls now: their limits, whether they open, which secrets pass."""

from __future__ import annotations

from pathlib import Path

from handrail.egress.vault import Vault
from handrail.errors import HandrailError, InvalidInput, SandboxError
from handrail.policy.document import text_of
from handrail.policy.layers import Policy, stack
from handrail.sandbox import Backend, ResourceLimits
from handrail.sessions import walling
from handrail.sessions.record import Record
from handrail.sessions.rules import current
from handrail.types import Permissions


class Terms:
    """Asked at each start of an agent, and by the proxy at each connection, so that a change of policy holds.

    Args:
        record: the session.
        ceiling: the policy that no session can widen.
        vault: the secrets that there are.
    """

    def __init__(self, record: Record, ceiling: Path, vault: Vault) -> None:
        self._record = record
        self._ceiling = ceiling
        self._vault = vault

    def policy(self) -> Policy:
        """The layers that hold now; what walls need of them does not depend on permissions.

        Raises:
            SandboxError: the ceiling cannot be read, so that nothing can be started within it.
        """
        try:
            return current(self._record.row, Permissions.ASK, self._ceiling)
        except HandrailError as error:
            raise SandboxError(
                f"the policy of the data directory cannot be used, so nothing was started: {error}"
            ) from error

    def limits(self) -> ResourceLimits:
        """The caps of the session's box.

        Raises:
            SandboxError: as `policy`.
        """
        return walling.resources(self.policy().limits)

    async def hold(self, backend: Backend) -> None:
        """See that the walls hold what the ceiling asks of them now; the session's own policy was judged at its start.

        Raises:
            SandboxError: they do not.
        """
        if self._ceiling.exists():
            team = stack(Permissions.ASK, team=text_of(self._ceiling))
            walling.check(team, backend.kind, await backend.probe())

    def opens(self) -> bool:
        """Whether anything but the gateway stands behind the session's door."""
        return self.policy().opens or bool(self.secrets())

    def secrets(self) -> tuple[str, ...]:
        """The secrets that the session is given now.

        Raises:
            SandboxError: one is gone, or the ceiling does not let it be given any more.
        """
        try:
            return walling.given(self.policy(), self._record.row.secrets, self._vault)
        except InvalidInput as error:
            raise SandboxError(error.message) from error
