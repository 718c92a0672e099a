"""Whether what runs inside may reach a place: the session's policy answers, and a person where it says ask."""

from __future__ import annotations

from collections.abc import Callable

from handrail.egress import HostPort
from handrail.errors import HandrailError
from handrail.policy import Verdict
from handrail.policy.decide import reach
from handrail.policy.layers import Policy
from handrail.sessions.questions import Questions
from handrail.sessions.walling import refusal


class Hosts:
    """The judge behind one session's proxy (`egress.Judge`).

    Args:
        policy: what holds at this moment; raises where the ceiling cannot be read.
        questions: asks a person.
    """

    def __init__(self, policy: Callable[[], Policy], questions: Questions) -> None:
        self._policy = policy
        self._questions = questions

    async def judge(self, place: HostPort) -> str | None:
        """None where `place` may be reached, else why not. Waits for a person as long as the connection lasts."""
        try:
            decision = reach(self._policy(), str(place))
        except HandrailError as error:
            return f"{place} is not allowed: {error.message}"
        if decision.verdict is Verdict.ALLOW:
            return None
        if decision.verdict is Verdict.DENY:
            return refusal(place, decision)
        answer = await self._questions.host(str(place))
        if answer is None:
            return f"{place} has to be allowed by a person, who has not answered yet: end your turn and wait"
        if answer.allow:
            return None
        said = f", who says: {answer.because}" if answer.because else ""
        return f"{place} was refused by a person{said}"
