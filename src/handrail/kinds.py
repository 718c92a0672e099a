"""The vocabulary of the event log: every kind of event and the keys of its `data`.

A face renders these and nothing else. Times are RFC 3339 strings, money is an integer of nano-dollars (`*_nano`),
durations are seconds. Keys marked `?` may be missing. Kinds are only ever added; a face ignores one that it does not
know.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Kinds of events, in the order in which a session meets them. Each comment lists the keys of `data`."""

    # agent, provider?: `demo` where a script plays the model, model?, repository, base, branch, sandbox,
    # holds: [guarantee names], permissions, control, title, workspace, network?: [registry or host:port],
    # secrets?: [name], login?: true where a copy of the user's login is inside, scopes?: [kind:name],
    # turn_budget_nano?, untrusted?: true where settings for agents in the base are not used,
    # set_aside?: [path of such a file], branched?: {session, turn} that it goes on from
    SESSION_CREATED = "session.created"
    # agent, version, agent_session, how: new | resumed | loaded | replayed, sandbox, pid
    AGENT_STARTED = "agent.started"
    # code, reason: exited | signalled | out_of_memory | out_of_disk | killed, detail?
    AGENT_ENDED = "agent.ended"
    # reason: the agent could not load its session; what it is told instead is a replayed summary
    MEMORY_LOST = "memory.lost"
    # control: you | agent, by
    CONTROL_CHANGED = "control.changed"
    # text, checks: [command], turns?, budget_nano?, seconds?
    GOAL_SET = "goal.set"
    # prompt: id, text, by; waits until the turn under way has ended
    PROMPT_QUEUED = "prompt.queued"
    # prompt, by
    PROMPT_WITHDRAWN = "prompt.withdrawn"
    # turn, prompt?, text, by: you | goal | resume, snapshot?
    TURN_STARTED = "turn.started"
    # text, message?; pieces of one answer in order, concatenated by the face
    AGENT_TEXT = "agent.text"
    # text, message?
    AGENT_THOUGHT = "agent.thought"
    # call, title, tool: kind of tool, input?, paths: [..], diffs?: [{path, old?, new}]
    TOOL_STARTED = "tool.started"
    # call, and what changed: title?, status?, tool?, input?, output?, diffs?, paths?
    TOOL_UPDATED = "tool.updated"
    # call, status: completed | failed | interrupted | denied, output?, diffs?, seconds
    TOOL_ENDED = "tool.ended"
    # entries: [{text, status, priority?}]
    PLAN_UPDATED = "plan.updated"
    # used, size, cost_usd?: the agent's own account of its context window
    CONTEXT_UPDATED = "context.updated"
    # approval, call, title, tool, input?, diffs?, options: [{id, name, kind}], why: one line, deadline?, then: park |
    # deny | escalate
    APPROVAL_ASKED = "approval.asked"
    # approval, times: how often its people were told again, deadline?: when they will be once more
    APPROVAL_ESCALATED = "approval.escalated"
    # approval? (none: the policy decided), call, decision: allow | deny | cancelled, option?, by, because?, rule?,
    # layer?: of the policy that holds the rule
    APPROVAL_ANSWERED = "approval.answered"
    # rules: [what is allowed from now on], by, layer?: repository where it is so beyond the session
    POLICY_CHANGED = "policy.changed"
    # host, port, verdict: allowed | denied | failed, reason, times: attempts since the last such line, bytes?
    NETWORK_DECIDED = "network.decided"
    # provider, model, input_tokens, cached_tokens, output_tokens, cost_nano (null: unpriced), status, seconds,
    # partial?, error?
    MODEL_CALLED = "model.called"
    # check, command
    CHECK_STARTED = "check.started"
    # check, command, code, passed, output, seconds, timed_out?
    CHECK_ENDED = "check.ended"
    # turn, stop_reason, error?, error_kind?, tools, seconds, cost_nano, unpriced: calls without a price;
    # in place of these two metered: false where the agent's own login pays
    TURN_ENDED = "turn.ended"
    # turn, commit, restored?: true when a person went back to it, to?: the turn whose end it shows
    SNAPSHOT_TAKEN = "snapshot.taken"
    # idle: seconds without an update, act: cancel | kill
    WATCHDOG_FIRED = "watchdog.fired"
    # outcome, reason, checks: [{command, passed, code}], turns, cost_nano (or metered: false), files,
    # flagged: [{path, reason}] of files that configure agents or tools; resets? of a quota;
    # summary? what the agent said last, where a budget was spent
    OUTCOME_REACHED = "outcome.reached"
    # by: a person who knows of the outcome, and takes it off the inbox
    OUTCOME_SEEN = "outcome.seen"
    # mode, branch?, commit, files
    CHANGE_APPLIED = "change.applied"
    # level: info | warning | error, text
    NOTICE = "notice"
    # by
    SESSION_ENDED = "session.ended"
