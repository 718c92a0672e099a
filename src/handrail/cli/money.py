"""The verbs about money: spend, budgets, prices."""

from __future__ import annotations

import csv
import sys
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from handrail.cli import calls, options
from handrail.cli.client import Obj
from handrail.cli.layout import Line, Span, columns, cost, dollars, duration, line, printed, table

budgets = typer.Typer(rich_markup_mode=None, add_completion=False)
prices = typer.Typer(rich_markup_mode=None, add_completion=False)


class By(StrEnum):
    """What sums are made by."""

    MODEL = "model"
    SESSION = "session"
    SCOPE = "scope"
    AGENT = "agent"
    WORKFLOW = "workflow"
    MEMBER = "member"
    DAY = "day"


class Period(StrEnum):
    """When a budget begins anew."""

    TOTAL = "total"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


Scope = Annotated[
    str,
    typer.Argument(metavar="SCOPE", help="Whose: member:NAME, team:NAME, workflow:NAME, run:ID or session:ID."),
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name, or provider/name; `*` stands for anything.")]


def spend(
    by: Annotated[
        list[By] | None,
        typer.Option(
            "--by", help="Sum by workflow, agent, model, member, session, scope or day; several times for several."
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line a name of each sum.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Show what was spent, by workflow, agent, model, member, session, scope or day, and what the month comes to."""
    told = calls.get(data, "/spend")
    if as_json:
        options.put_json(told)
    elif as_csv:
        _as_csv(told, by or list(By))
    else:
        printed(_spent(told, by or [By.MODEL, By.SESSION]))
    return 0


def _as_csv(told: Obj, by: list[By]) -> None:
    sums = ("calls", "cost_nano", "unpriced", "input_tokens", "output_tokens")
    writer = csv.writer(sys.stdout)
    writer.writerow(("by", "name", *sums))
    for kind in by:
        for item in told.get(f"by_{kind.value}") or []:
            name = str(item.get(kind.value) or "")
            safe = (
                f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
            )  # no formula for a spreadsheet
            writer.writerow((kind.value, safe, *(item.get(word) or 0 for word in sums)))


def _spent(told: Obj, by: list[By]) -> list[Line]:
    total = cost(told.get("total_nano"), int(told.get("unpriced") or 0))
    rows = [line(Span(f"{total} in {told.get('calls') or 0} model calls", "bold"))]
    expected = told.get("forecast")
    if expected:
        so_far, end = cost(expected["month_nano"]), cost(expected["expected_nano"])
        rows.append(line(f"this month {so_far}, at its end {end} at {cost(expected['day_nano'])} a day"))
    if count := int(told.get("not_metered") or 0):
        rows.append(
            line(Span(f"not metered: {count} session{'' if count == 1 else 's'} with a login of yours", "yellow"))
        )
    for name in by:
        items = [
            (
                str(item.get(name.value) or ""),
                str(item.get("calls") or 0),
                cost(item.get("cost_nano"), int(item.get("unpriced") or 0)),
                str(item.get("input_tokens") or ""),
                str(item.get("output_tokens") or ""),
            )
            for item in told.get(f"by_{name.value}") or []
        ]
        rows += table((name.value, "calls", "cost", "input", "output"), items) if items else []
    return rows


_COLUMNS = ("scope", "period", "money", "tokens", "time", "state")


@budgets.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the budgets that sessions share, and what is used of each."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/budgets")
    if as_json:
        options.put_json(told)
        return 0
    rows = [_budget(item) for item in told.get("budgets") or []]
    _table(_COLUMNS, rows, "no budgets yet: see `handrail budgets set --help`")
    return 0


def _budget(item: Obj) -> tuple[str, ...]:
    def of(used: str, limit: str | None) -> str:
        return "" if limit is None else f"{used} of {limit}"

    money, tokens, seconds = item.get("money_nano"), item.get("tokens"), item.get("seconds")
    return (
        str(item.get("scope")),
        str(item.get("period")),
        of(dollars(item.get("used_nano")), None if money is None else dollars(money)),
        of(f"{item.get('used_tokens') or 0:,}", None if tokens is None else f"{tokens:,}"),
        of(duration(item.get("used_seconds")), None if seconds is None else duration(seconds)),
        "spent" if item.get("spent") else "open",
    )


@budgets.command("set", epilog="Example: handrail budgets set member:you --money 20 --period day")
def put(
    *,
    scope: Scope,
    money: Annotated[str | None, typer.Option("--money", metavar="USD", help="At most this much money.")] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", min=1, metavar="N", help="At most so many tokens.")] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="TIME", help="At most so much time of work, such as 2h.")
    ] = None,
    period: Annotated[
        Period, typer.Option("--period", help="When it begins anew: total (never), day, week or month, in UTC.")
    ] = Period.TOTAL,
    data: options.Data = None,
) -> int:
    """Set what all sessions of a scope may use up together; at a limit no further model call leaves."""
    body: Obj = {
        "period": period.value,
        "money_usd": options.usd(money, "--money"),
        "tokens": tokens,
        "seconds": options.seconds(time),
    }
    told = calls.put(data, f"/budgets/{quote(scope, safe='')}", body)
    _table(_COLUMNS, [_budget(told)], "")
    return 0


@budgets.command("remove", epilog="Example: handrail budgets remove member:you --period day")
def remove(
    scope: Scope,
    period: Annotated[Period | None, typer.Option("--period", help="Only the one of this period.")] = None,
    data: options.Data = None,
) -> int:
    """Remove the budgets of a scope."""
    given = "" if period is None else f"?period={period.value}"
    calls.delete(data, f"/budgets/{quote(scope, safe='')}{given}")
    options.put(f"the budget of {scope} is removed")
    return 0


@prices.callback(invoke_without_command=True)
def priced(context: typer.Context, as_json: options.AsJson = False, data: options.Data = None) -> int:
    """List the prices that you gave; they win over the price list."""
    if context.invoked_subcommand is not None:
        return 0
    told = calls.get(data, "/prices")
    if as_json:
        options.put_json(told)
        return 0
    names = ("model", "input", "output", "cached", "cache_written")
    rows = [tuple(str(item.get(name) or "") for name in names) for item in told.get("prices") or []]
    empty = "no prices of your own: models cost what the price list says (see `handrail prices set --help`)"
    _table(("model", "input", "output", "cached", "cache written"), rows, empty)
    return 0


@prices.command("set", epilog="Example: handrail prices set my-finetune --input 3 --output 15 --cached 0.30")
def put_price(
    *,
    model: ModelName,
    given: Annotated[str, typer.Option("--input", metavar="USD", help="A million tokens of input.")],
    output: Annotated[str, typer.Option("--output", metavar="USD", help="A million tokens of output.")],
    cached: Annotated[
        str | None, typer.Option("--cached", metavar="USD", help="A million tokens read from a cache (as input).")
    ] = None,
    written: Annotated[
        str | None, typer.Option("--cache-written", metavar="USD", help="A million tokens put into one (as input).")
    ] = None,
    data: options.Data = None,
) -> int:
    """Say what a model costs, in US dollars; it holds from the next call on, and wins over the price list."""
    body: Obj = {"model": model, "input": given, "output": output, "cached": cached, "cache_written": written}
    calls.put(data, "/prices", body)
    options.put(f"{model} is priced")
    return 0


@prices.command("remove", epilog="Example: handrail prices remove my-finetune")
def remove_price(model: ModelName, data: options.Data = None) -> int:
    """Forget a price of your own."""
    calls.delete(data, f"/prices?{urlencode({'model': model})}")
    options.put(f"the price of {model} is removed")
    return 0


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]], empty: str) -> None:
    if rows:
        printed(table(header, rows, limit=columns() if sys.stdout.isatty() else 0))
    else:
        options.put(empty)
