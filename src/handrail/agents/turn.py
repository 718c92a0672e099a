"""One turn as the link sees it: what it must remember to say how the turn really ended."""

from __future__ import annotations

from msgspec import Struct

from handrail.agents import Failure, Plan, Text, ToolUpdate, TurnResult, Update, faults
from handrail.agents.decode import dig, failure, text
from handrail.agents.spec import AgentSpec
from handrail.types import Json, StopReason

TAIL_LIMIT = 4096
"""characters of an answer's end that are searched for an error"""

_STOP_REASONS = {
    reason.value: reason
    for reason in (
        StopReason.END_TURN,
        StopReason.MAX_TOKENS,
        StopReason.MAX_TURN_REQUESTS,
        StopReason.REFUSAL,
        StopReason.CANCELLED,
    )
}


class Turn(Struct):
    """A prompt under way. `broken` is an exception of our own side that the prompt must end with."""

    spec: AgentSpec
    tail: str = ""
    failure: Failure | None = None
    cancelled: bool = False
    spoke: bool = False
    broken: BaseException | None = None

    def note(self, update: Update) -> None:
        """Remember what matters for the result. Whatever the agent does after a failure takes the failure back."""
        match update:
            case Text(thought=False):
                self.spoke = True
                self.tail = (self.tail + update.text)[-TAIL_LIMIT:]
                self.failure = None
            case ToolUpdate():
                self.spoke = True
                self.tail = ""
                self.failure = None
            case Plan():
                self.spoke = True
            case Failure():
                self.failure = update

    def failed(self, fault: faults.Fault, usage: Json | None = None) -> TurnResult:
        """The result of a turn that broke with `fault`; what breaks because it was cancelled is no error."""
        if self.cancelled:
            return TurnResult(StopReason.CANCELLED, usage=usage)
        return TurnResult(StopReason.ERROR, fault.text, fault.kind, usage)

    def ended(self, result: Json) -> TurnResult:
        """The result of a turn that the agent ended with `result`, errors in disguise included."""
        told = text(result.get("stopReason"))
        used = result.get("usage") or dig(result, "_meta", "quota")
        usage = used if isinstance(used, dict) else None
        if self.cancelled:
            return TurnResult(StopReason.CANCELLED, usage=usage)
        reason = _STOP_REASONS.get(told or "")
        if reason is None:
            return self.failed(
                faults.Fault(f"{self.spec.title} ended its turn for the unknown reason {told!r}", "protocol"), usage
            )
        if reason is StopReason.REFUSAL:
            return TurnResult(reason, f"{self.spec.title} refused to go on", "agent", usage)
        if reason is not StopReason.CANCELLED and (fault := self._fault(result)) is not None:
            return self.failed(fault, usage)
        return TurnResult(reason, usage=usage)

    def _fault(self, result: Json) -> faults.Fault | None:
        for failed in (failure(result.get("_meta")), self.failure):
            if failed is not None and not failed.retrying:
                return faults.of_failure(failed)
        if not self.spoke and result.get("stopReason") == StopReason.END_TURN:
            # Some agents end a turn in silence where the model refused: that must not pass for work done.
            return faults.Fault(f"{self.spec.title} ended its turn without a word", "agent")
        return faults.of_text(self.tail, self.spec.errors)
