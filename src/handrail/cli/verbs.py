"""The table of verbs: names, sentences and examples, so that `handrail --help` loads none of the verbs."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """One verb. `target` is `module:attribute`, a function or a Typer application below `handrail.cli`."""

    name: str
    target: str
    help: str
    example: str


SECTIONS: dict[str, tuple[Verb, ...]] = {
    "Work": (
        Verb(
            "chat",
            "talk:chat",
            "Talk with an agent in the current repository, hands-on; in a pipe, each line of stdin is a prompt.",
            'handrail chat --agent claude "why does test_login fail?"',
        ),
        Verb(
            "do",
            "talk:do",
            "Hand a goal to an agent and follow until its checks pass. Exit status: 0 done or nothing "
            "to do, 3 a person is needed or it is blocked, 4 failed, cancelled or lost, 2 bad input.",
            'handrail do "make the tests pass" --check "pytest -q" --budget 2 --turns 20',
        ),
        Verb(
            "attach", "talk:attach", "Follow a session live, answer its questions, prompt it.", "handrail attach last"
        ),
        Verb(
            "prompt",
            "sessions:prompt",
            "Send a prompt to a session; while its agent works it is queued.",
            'handrail prompt last "now update the changelog"',
        ),
        Verb("cancel", "sessions:cancel", "Cancel the turn under way.", "handrail cancel last"),
        Verb(
            "handoff",
            "sessions:handoff",
            "Let a session's agent work on its own until checks pass or a limit is met; a task of a run goes on.",
            'handrail handoff last --goal "finish the migration" --check "make test"',
        ),
        Verb(
            "take",
            "sessions:take",
            "Take a session, or a task of a run, into your own hands; nothing it made is lost.",
            "handrail take last",
        ),
        Verb(
            "branch",
            "files:branch",
            "Begin a new session from where another one was after a turn: the same files, told what happened there.",
            "handrail branch last --at 2",
        ),
        Verb(
            "shell",
            "shell:shell",
            "Open a shell inside the walls of a session that you hold, or watch what the agent's own shell says.",
            "handrail shell last",
        ),
        Verb("end", "sessions:end", "End a session for good; its change stays.", "handrail end 3f2a"),
    ),
    "Look": (
        Verb(
            "sessions", "sessions:sessions", "List sessions, newest first.", "handrail sessions --state running --json"
        ),
        Verb("show", "sessions:show", "Show what a session is and where it stands.", "handrail show last --json"),
        Verb(
            "log",
            "sessions:log",
            "Print the log of a session; with --json, one event a line.",
            "handrail log last --kind tool.ended --follow",
        ),
        Verb(
            "diff",
            "sessions:diff",
            "Print the change of a session; in a pipe it is a patch that `git apply` takes.",
            "handrail diff last --stat",
        ),
        Verb(
            "files",
            "files:files",
            "List a folder of a session, or print a file, as its last snapshot holds it.",
            "handrail files last src/greet.py --at 2",
        ),
        Verb(
            "events",
            "events:events",
            "List events from outside, and what became of each; show, replay or try one.",
            "handrail events show last",
        ),
        Verb(
            "spend",
            "money:spend",
            "Show what was spent, by workflow, agent, model, member or day, and what the month comes to.",
            "handrail spend --by day",
        ),
    ),
    "Decide": (
        Verb(
            "inbox",
            "questions:inbox",
            "List what waits for a person: questions, effects, and what ended badly.",
            "handrail inbox --full",
        ),
        Verb(
            "approve",
            "questions:approve",
            "Allow what waits: a question or an effect.",
            "handrail approve a-7c1 --option 2",
        ),
        Verb(
            "deny",
            "questions:deny",
            "Refuse what waits, a question or an effect, and say why.",
            'handrail deny a-7c1 --because "use the staging database"',
        ),
        Verb(
            "seen",
            "questions:seen",
            "Take what ended badly off the inbox: you know of it.",
            "handrail seen s-3f9 12",
        ),
        Verb(
            "rules",
            "rules:rules",
            "List the rules that `approve --always` wrote for a repository; take one back.",
            "handrail rules --remove 2",
        ),
        Verb(
            "effects",
            "effects:effects",
            "List the acts on the outside world that wait for your yes; show, approve or reject one.",
            "handrail effects approve f-3a9",
        ),
        Verb(
            "undo", "sessions:undo", "Put a session's workspace back to an earlier turn.", "handrail undo last --to 3"
        ),
        Verb(
            "apply",
            "sessions:apply",
            "Bring a session's change to your checkout, as a branch or as uncommitted changes.",
            "handrail apply last --branch fix-login",
        ),
    ),
    "Automate": (
        Verb(
            "promote",
            "promotion:promote",
            "Draft a workflow from what a session did, with a policy no wider than that; it is switched off.",
            "handrail promote last --name mend-greeting",
        ),
        Verb(
            "rehearse",
            "promotion:rehearse",
            "Try a workflow on past commits or events, in the walls; effects are recorded, none is carried out.",
            "handrail rehearse nightly --commits last:5",
        ),
        Verb(
            "workflows",
            "workflows:workflows",
            "List workflows, with what starts them; check, keep, edit, enable or start one.",
            "handrail workflows enable nightly --unproven",
        ),
        Verb(
            "runs",
            "runs:runs",
            "List runs, newest first; show one, cancel it, run it again, go on with it.",
            "handrail runs show last",
        ),
        Verb(
            "gallery",
            "workflows:gallery",
            "List ready workflows; keep one, switched off.",
            "handrail gallery add review-pull-requests",
        ),
    ),
    "Set up": (
        Verb(
            "agents",
            "catalogue:agents",
            "List the agents, with what was found; check or install one.",
            "handrail agents check codex",
        ),
        Verb(
            "providers",
            "models:providers",
            "List the model providers; set or remove one.",
            "handrail providers set work --wire anthropic --key-env ANTHROPIC_API_KEY",
        ),
        Verb(
            "forges",
            "forges:forges",
            "List the git hosts where effects are carried out; set, check or remove one.",
            "handrail forges set github --kind github --token-stdin",
        ),
        Verb(
            "sources",
            "events:sources",
            "List who may send events and what is polled; set, poll or remove one.",
            "handrail sources set github --kind github --secret-stdin < secret",
        ),
        Verb(
            "secrets",
            "secrets:secrets",
            "List the secrets that tasks need and no agent holds; set or remove one.",
            "handrail secrets set SEARCH_KEY --host api.example.com --header 'X-Api-Key: {}' --value-stdin",
        ),
        Verb(
            "budgets",
            "money:budgets",
            "List what sessions may use up together, by member, team, workflow or run; set or remove a budget.",
            "handrail budgets set member:you --money 20 --period day",
        ),
        Verb(
            "prices",
            "money:prices",
            "List the model prices that you gave, which win over the price list; set or remove one.",
            "handrail prices set my-finetune --input 3 --output 15",
        ),
        Verb(
            "members",
            "members:members",
            "List who may come in; add or remove somebody, or make them a new link.",
            "handrail members add alice --role member",
        ),
        Verb(
            "notify",
            "channels:notify",
            "List the channels that tell you what waits and what came out, with the last messages; test one.",
            "handrail notify test slack",
        ),
        Verb(
            "agent",
            "catalogue:agent",
            "Run Handrail's own agent over ACP on stdin and stdout, for editors such as Zed.",
            "handrail agent",
        ),
        Verb(
            "sandbox",
            "walled:sandbox",
            "Try what the walls hold here, or run a command in the walls of a session.",
            "handrail sandbox run -- npm test",
        ),
        Verb("open", "server:show_page", "Open the pages in a browser, or print their link.", "handrail open --print"),
        Verb("up", "server:up", "Start the server; other verbs do it by themselves.", "handrail up --foreground"),
        Verb("down", "server:down", "Stop the server; sessions stay.", "handrail down"),
        Verb("status", "server:status", "Show whether the server runs and what it does.", "handrail status --json"),
        Verb(
            "doctor",
            "server:doctor",
            "Check what is installed and what holds, and say what to do about the rest.",
            "handrail doctor",
        ),
    ),
}

VERBS: dict[str, Verb] = {verb.name: verb for section in SECTIONS.values() for verb in section}
