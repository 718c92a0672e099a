from __future__ import annotations

from handrail.kinds import Kind
from handrail.types import Event, Json, SessionId, now
from handrail.web.pages.playback import Playback, shown


def event(kind: Kind, **data: object) -> Event:
    given: Json = {"call": "c", **data}
    return Event(SessionId("s"), 1, now(), kind, given)


def test_a_command_is_told_as_it_runs() -> None:
    played = Playback()
    assert played.take([event(Kind.TOOL_STARTED, tool="execute", title="make")]) == "\x1b[1m$ make\x1b[0m\r\n"
    assert played.take([event(Kind.TOOL_UPDATED, output="one\n")]) == "one\r\n"
    assert played.take([event(Kind.TOOL_UPDATED, output="one\ntwo")]) == "two"
    assert played.take([event(Kind.TOOL_UPDATED, output="cut … two")]) == "cut … two"
    assert (
        played.take([event(Kind.TOOL_ENDED, status="failed", output="cut … two")]) == "\r\n\x1b[31m(failed)\x1b[0m\r\n"
    )
    assert played.take([event(Kind.TOOL_ENDED, status="failed")]) == ""


def test_other_tools_are_not_its_matter() -> None:
    played = Playback()
    told = [event(Kind.TOOL_STARTED, tool="read", title="a"), event(Kind.TOOL_ENDED, output="text")]
    assert played.take([*told, event(Kind.AGENT_TEXT, text="words")]) == ""


def test_only_colours_act_on_the_terminal() -> None:
    assert (
        shown("\x1b[31mred\x1b[0m\x1b]52;c;aGk=\x07 \x1b[2J\x1b[5;5Hmoved\u202e") == "\x1b[31mred\x1b[0m moved\x1b[0m"
    )
    hostile = event(Kind.TOOL_STARTED, tool="execute", title="rm\x1b[2K\u202e -rf\nx")
    assert Playback().take([hostile]) == "\x1b[1m$ rm\\x1b[2K\\u202e -rf x\x1b[0m\r\n"
