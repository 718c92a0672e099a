"""Budgets that sessions share: counted to the nano-dollar, never passed, and not forgotten by a restart."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest
from msgspec.structs import replace

from handrail.errors import InvalidInput, NotFound
from handrail.gateway import ModelCall, Provider, Wire
from handrail.gateway.providers import Providers
from handrail.gateway.server import Gateway
from handrail.kinds import Kind
from handrail.sessions import budgets
from handrail.store import budgets as kept
from handrail.store import calls, turns
from handrail.store import sessions as rows
from handrail.store.engine import Store
from handrail.types import (
    Budget,
    Check,
    Event,
    Goal,
    Limits,
    NanoUSD,
    Outcome,
    Period,
    Permissions,
    Scope,
    SessionId,
    Used,
    now,
)
from handrail.workspaces import ApplyMode
from tests.fake_provider import FakeProvider, prompt
from tests.fake_provider.forms import FORMATS
from tests.gateway.conftest import listening
from tests.sessions.conftest import House, git
from tests.store.making import session_row

RUN = Scope("run:r-1")
FIVE_DOLLARS = NanoUSD(5_000_000_000)
AGENTS = 30
FORM = FORMATS["anthropic"]


async def insert(store: Store, name: str, *scopes: Scope) -> SessionId:
    row = replace(session_row(name, await rows.next_number(store)), scopes=scopes)
    await store.log.append(row.id, [], rows.insert(row), *kept.share(row.id, scopes))
    return row.id


def provider(fake: FakeProvider) -> Providers:
    return Providers((Provider("anthropic", Wire.ANTHROPIC, fake.url, "key"),))


def body(number: int) -> tuple[bytes, int]:
    """A call of its own size, and what it costs at the list price of its model in nano-dollars."""
    usage = {"input": 80 + number % 13, "output": 240 + number % 97}
    table = json.loads(FORM.body(prompt([{"text": "x", "usage": usage}]))) | {"max_tokens": 340}
    return json.dumps(table).encode(), usage["input"] * 3_000 + usage["output"] * 15_000


class Crowd:
    """Thirty agents of one run on a real gateway, each of which calls until it is refused."""

    def __init__(self, store: Store, gateway: Gateway, client: httpx2.AsyncClient, url: str) -> None:
        self.store = store
        self.gateway = gateway
        self.client = client
        self.url = url + FORM.path
        self.paid: list[int] = []
        self.refused: list[str] = []
        self.highest = 0

    async def join(self, number: int) -> None:
        session = await insert(self.store, f"s-{number}", RUN, Scope(f"session:s-{number}"))

        async def on_call(call: ModelCall) -> None:
            await self.store.log.write(calls.insert(call))

        grant = self.gateway.grant(session, budget=None, spent=NanoUSD(0), on_call=on_call, scopes=(RUN,))
        for turn in range(1000):
            content, cost = body(number * 1000 + turn)
            answer = await self.client.post(self.url, content=content, headers=FORM.headers(grant.token))
            (pot,) = self.gateway.pots.of([RUN])
            self.highest = max(self.highest, pot.used.money)
            if answer.status_code != 200:
                self.refused.append(answer.json()["error"]["message"])
                return
            self.paid.append(cost)

    async def ask_for_little(self, number: int) -> None:
        """A call of an agent that comes late, so small that it would fit into what is left."""
        (pot,) = self.gateway.pots.of([RUN])
        little = json.dumps(json.loads(FORM.body("x")) | {"max_tokens": 1})
        assert pot.money + 3_000 * len(little) < FIVE_DOLLARS
        session = await insert(self.store, f"s-{number}", RUN)
        grant = self.gateway.grant(session, budget=None, spent=NanoUSD(0), on_call=_nowhere, scopes=(RUN,))
        answer = await self.client.post(self.url, content=little, headers=FORM.headers(grant.token))
        assert answer.json()["error"]["message"].startswith("Handrail: the budget of run:r-1 is spent (")


async def _nowhere(call: ModelCall) -> None:
    raise AssertionError(call)


@pytest.mark.timeout(300)  # on a very busy machine
async def test_thirty_agents_of_one_run_spend_their_five_dollars_to_the_nano_and_no_more(
    tmp_path: Path, fake: FakeProvider
) -> None:
    async with (
        await Store.open(tmp_path / "handrail.db") as store,
        httpx2.AsyncClient(trust_env=False, timeout=None, limits=httpx2.Limits(max_connections=AGENTS)) as client,
    ):
        gateway = Gateway(provider(fake))
        await budgets.load(store, gateway)
        await budgets.put(store, gateway, Budget(RUN, money=FIVE_DOLLARS))
        sock = listening()
        await gateway.serve(sock)
        crowd = Crowd(store, gateway, client, f"http://127.0.0.1:{sock.getsockname()[1]}")
        await asyncio.gather(*(crowd.join(number) for number in range(AGENTS)))
        await budgets.told(gateway, RUN)
        (pot,) = gateway.pots.of([RUN])
        assert len(crowd.paid) >= 1000
        assert len(crowd.refused) == AGENTS
        assert len(fake.calls) == len(crowd.paid), "what was refused never left"
        dearest = max(cost for _, cost in (body(number) for number in range(2000)))
        assert FIVE_DOLLARS - 2 * dearest < sum(crowd.paid) == pot.used.money == crowd.highest <= FIVE_DOLLARS
        spent = await calls.spend(store)
        assert spent.total.cost_nano == spent.by_scope[RUN].cost_nano == sum(crowd.paid)
        assert spent.total.calls == len(crowd.paid)
        assert spent.total.unpriced == 0
        assert await kept.used(store, RUN, None) == pot.used
        await crowd.ask_for_little(AGENTS)
        await gateway.close()

        again = Gateway(provider(fake))  # after kill -9: what is known is what the ledger holds
        await budgets.load(store, again)
        (pot,) = again.pots.of([RUN])
        assert pot.used.money == sum(crowd.paid)
        sock = listening()
        await again.serve(sock)
        late = Crowd(store, again, client, f"http://127.0.0.1:{sock.getsockname()[1]}")
        await late.join(AGENTS + 1)
        assert late.paid == []
        await late.ask_for_little(AGENTS + 2)
        assert len(fake.calls) == len(crowd.paid)
        await again.close()


@pytest.mark.timeout(300)
async def test_thirty_sessions_of_one_run_stop_together_and_keep_their_branches(house: House) -> None:
    """Incident 9 (CC#92691: 59 agents went on past the cap), with what each had made."""
    usage = {"input": 1000, "output": 2000}
    await budgets.put(house.store, house.gateway, Budget(RUN, money=FIVE_DOLLARS))

    async def made(number: int) -> SessionId:
        session = await house.new(scopes=(RUN,), permissions=Permissions.ALLOW)
        write: dict[str, object] = {"write": {"path": f"made-{number}.txt", "content": "kept\n"}, "usage": usage}
        await house.say(session, [write, {"text": "Made."}])
        await house.until(session, Kind.TURN_ENDED, seconds=120)
        return session

    async def pursued(number: int, session: SessionId) -> Event:
        step = {"text": "so", "shell": "echo {i} of " + str(number), "usage": usage}
        goal = Goal(prompt([{"repeat": 300, "step": step}], f"Agent {number}: go on."), (Check("false"),))
        await house.sessions.handoff(session, goal, "test")
        return await house.outcome(session, seconds=200)

    sessions = await asyncio.gather(*map(made, range(AGENTS)))
    outcomes = await asyncio.gather(*(pursued(number, session) for number, session in enumerate(sessions)))
    await budgets.told(house.gateway, RUN)
    spent = (await calls.spend(house.store)).by_scope[RUN]
    assert FIVE_DOLLARS - 1_000_000_000 < spent.cost_nano <= FIVE_DOLLARS
    sent = len(house.fake.model_calls)
    told = [event for session in sessions for event in await house.events(session, Kind.MODEL_CALLED)]
    cut = sum(event.data["status"] == 0 for event in told)  # with its turn: counted, whether or not it left
    assert spent.calls - cut <= sent <= spent.calls == len(told), "what was refused never left"
    for number, (session, outcome) in enumerate(zip(sessions, outcomes, strict=True)):
        assert (outcome.data["outcome"], outcome.data["cause"]) == (Outcome.NEEDS_PERSON, "budget_spent")
        assert "run:r-1" in str(outcome.data["reason"])
        diff = await house.sessions.diff(session, None, None)
        assert [file.path for file in diff.files] == [f"made-{number}.txt"]
        await house.sessions.apply(session, ApplyMode.BRANCH, f"kept-{number}", "test")
        assert git(house.repository, "show", f"kept-{number}:made-{number}.txt") == "kept\n"
    await house.say(sessions[0], [{"text": "Only a word."}])
    await house.rest(sessions[0])
    assert len(house.fake.model_calls) == sent


async def test_at_seven_tenths_the_agent_is_told_once_to_wrap_up_and_goes_on(house: House) -> None:
    usage = {"input": 1000, "output": 1000}
    step = {"shell": "sleep 0.1; echo {i} >> made.txt", "usage": usage}  # the limits are looked at meanwhile
    words = "Done is the first part, left is the second."
    steps: list[dict[str, object]] = [
        {"repeat": 17, "step": step},
        {"text": words, **step},
        {"repeat": 22, "step": step},
    ]
    limit = Limits(budget=NanoUSD(20 * (1000 * 3_000 + 1000 * 15_000)))
    session = await house.hand_off(Goal(prompt(steps), (Check("false"),), limit))
    reached = await house.outcome(session)
    assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.NEEDS_PERSON, "budget_spent")
    assert (reached.data["files"], reached.data["summary"]) == (1, words)
    assert words in "".join(str(event.data["text"]) for event in await house.events(session, Kind.AGENT_TEXT))
    begun = await house.events(session, Kind.TURN_STARTED)
    ended = await house.events(session, Kind.TURN_ENDED)
    assert ended[0].data["stop_reason"] == "wrap_up"
    told = [str(event.data["text"]) for event in begun if "Come to an end" in str(event.data["text"])]
    (warning,) = [event for event in await house.events(session, Kind.NOTICE) if "wrap up" in str(event.data["text"])]
    assert len(told) == 1
    assert "of $0.36 of the budget are used up" in told[0]
    assert "of $0.36 of the budget are used up: the agent is told to wrap up" in str(warning.data["text"])
    paid = [event for event in await house.events(session, Kind.MODEL_CALLED) if event.data["status"] == 200]
    before = [event for event in paid if event.turn == 1]
    assert 14 <= len(before) <= 17
    assert len(paid) in (20, 21, 22), "and it had the rest of its budget to come to an end with"
    assert [file.path for file in (await house.sessions.diff(session, None, None)).files] == ["made.txt"]
    assert (await house.row(session)).wrap_told


async def test_a_person_is_shown_it_and_the_agent_hears_of_it_with_the_next_prompt(house: House) -> None:
    usage = {"input": 1000, "output": 1000}
    session = await house.new(scopes=(RUN,), permissions=Permissions.ALLOW)
    cap = NanoUSD(1_000_000_000)
    await house.say(session, [{"shell": "echo 1", "usage": {"input": 1000, "output": 50_000}}, {"text": "x"}])
    await house.until(session, Kind.TURN_ENDED)
    await budgets.put(house.store, house.sessions._rooms.gateway, Budget(RUN, money=cap))
    await house.say(session, [{"text": "y", "usage": usage}], "And now?")
    await house.until(session, Kind.TURN_ENDED, count=2)
    (warning,) = await house.events(session, Kind.NOTICE)
    assert "of $1.00 of the budget of run:r-1 are used up" in str(warning.data["text"])
    assert "Come to an end" in str((await house.events(session, Kind.TURN_STARTED))[1].data["text"])
    await house.say(session, [{"text": "z", "usage": usage}])
    await house.until(session, Kind.TURN_ENDED, count=3)
    assert "Come to an end" not in str((await house.events(session, Kind.TURN_STARTED))[2].data["text"])


async def test_an_agent_in_a_circle_is_stopped_and_a_person_asked(house: House) -> None:
    steps: list[dict[str, object]] = [{"repeat": 30, "step": {"shell": "ls"}}]
    session = await house.hand_off(Goal(prompt(steps), (Check("false"),)))
    reached = await house.outcome(session)
    assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.NEEDS_PERSON, "loop")
    assert str(reached.data["reason"]).startswith("the agent made the same call with the same answer 5 times running")
    (ended,) = await house.events(session, Kind.TURN_ENDED)
    assert ended.data["stop_reason"] == "loop"
    assert 5 <= len(await house.events(session, Kind.TOOL_ENDED)) <= 7


async def test_polling_that_sees_something_new_goes_on(house: House) -> None:
    poll = {"shell": "echo x >> log; wc -l log"}
    steps: list[dict[str, object]] = [
        {"repeat": 9, "step": poll},
        {"shell": "sed -i s/Hallo/Hello/ greet.py"},
        {"text": "done"},
    ]
    session = await house.hand_off(Goal(prompt(steps), (Check("sh check.sh"),)))
    assert (await house.outcome(session)).data["outcome"] == Outcome.DONE


async def test_time_that_is_over_ends_the_turn_and_keeps_what_was_made(house: House) -> None:
    steps: list[dict[str, object]] = [{"shell": "echo kept > made.txt"}, {"shell": "sleep 50"}, {"text": "done"}]
    session = await house.hand_off(Goal(prompt(steps), (Check("false"),)))
    await house.until(session, Kind.TOOL_ENDED)
    await budgets.put(house.store, house.sessions._rooms.gateway, Budget(Scope("member:test"), seconds=0.5))
    reached = await house.outcome(session)
    assert (reached.data["outcome"], reached.data["cause"]) == (Outcome.NEEDS_PERSON, "budget_spent")
    assert "member:test" in str(reached.data["reason"])
    assert [file.path for file in (await house.sessions.diff(session, None, None)).files] == ["made.txt"]
    (ended,) = await house.events(session, Kind.TURN_ENDED)
    assert ended.data["stop_reason"] == "budget"
    used = await kept.used(house.store, Scope("member:test"), None)
    assert 0.5 <= used.seconds < 40


async def test_a_turn_ends_at_its_own_budget(house: House) -> None:
    usage = {"input": 1000, "output": 1000}
    steps: list[dict[str, object]] = [{"repeat": 30, "step": {"shell": "echo {i}", "usage": usage}}]
    goal = Goal(prompt(steps), (Check("false"),))
    session = await house.hand_off(goal, turn_budget=NanoUSD(4 * (1000 * 3_000 + 1000 * 15_000)))
    reached = await house.outcome(session)
    assert reached.data["cause"] == "budget_spent"
    assert str(reached.data["reason"]).startswith("the budget of this turn of $0.072 is spent")
    assert len([e for e in await house.events(session, Kind.MODEL_CALLED) if e.data["status"] == 200]) in (4, 5)


async def test_what_is_used_is_read_by_scope_and_period(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "handrail.db") as store:
        alice = await insert(store, "alice", RUN)
        bob = await insert(store, "bob", RUN, Scope("team:core"))
        started = now()
        for session in (alice, bob):
            call = ModelCall(session, 1, started, "p", Wire.OPENAI, "m", 200, 10, 0, 5, NanoUSD(7))
            await store.log.write(
                calls.insert(call),
                turns.insert(session, 1, text="", by="you", started=started),
                turns.end(session, 1, ended=started.replace(year=started.year + 1), stop_reason="end_turn"),
            )
        used = await kept.used(store, RUN, None)
        assert (used.money, used.tokens) == (14, 30)
        assert used.seconds == (started.replace(year=started.year + 1) - started).total_seconds()
        assert (await kept.used(store, Scope("team:core"), None)).money == 7
        assert await kept.used(store, RUN, started.replace(year=started.year + 2)) == Used()
        gateway = Gateway()
        budget = Budget(RUN, Period.DAY, tokens=100)
        await budgets.put(store, gateway, budget)
        await budgets.put(store, gateway, budget)
        assert await kept.everything(store) == [budget]
        with pytest.raises(NotFound, match=r"no budget of run:r-1 for a week"):
            await budgets.remove(store, gateway, RUN, Period.WEEK)
        await budgets.remove(store, gateway, RUN, None)
        assert gateway.pots.of([RUN]) == []
        assert await kept.everything(store) == []


@pytest.mark.parametrize("word", ["alice", "planet:x", "run:", "run: x", "run:a\nb", "member:" + "x" * 300])
def test_a_scope_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput, match=r"give one of run, workflow, member, team, session"):
        budgets.scope("scope", word)


def test_a_session_shares_what_it_is_given_its_maker_and_itself() -> None:
    assert budgets.scopes_of(SessionId("s-1"), ["run:r", "run:r"], "you") == ("run:r", "member:you", "session:s-1")
    assert budgets.scopes_of(SessionId("s-1"), ["member:alice"], "you") == ("member:alice", "session:s-1")
