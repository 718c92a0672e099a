"""The verb about rules that stand: what `approve --always` wrote."""

from __future__ import annotations

from typing import Annotated

import typer

from handrail.cli import options
from handrail.cli.clean import one_line
from handrail.cli.client import Client, Obj
from handrail.cli.layout import Span, line, printed
from handrail.errors import InvalidInput


def rules(
    remove: Annotated[
        int | None, typer.Option("--remove", min=1, metavar="NUMBER", help="Take this one back: it asks again.")
    ] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """List the rules that `always` wrote for a repository; take one back by its number."""
    found = options.run(_told(options.client(data), remove))
    if as_json:
        options.put_json({"rules": found})
    elif not found:
        options.put("no rule stands: `handrail approve ID --always` writes one")
    for at, one in enumerate(found if not as_json else (), 1):
        rule = one_line(f"{one['section']}: allow {one['rule']}", 300)
        printed([line(f"{at:>3}  ", Span(rule, "bold"), Span(f"  {one_line(str(one['repository']))}", "dim"))])
    return 0


async def _told(client: Client, remove: int | None) -> list[Obj]:
    async with client:
        found: list[Obj] = (await client.get("/rules")).get("rules") or []
        if remove is None:
            return found
        if remove > len(found):
            raise InvalidInput("--remove", remove, f"there are {len(found)}: `handrail rules` numbers them")
        one = found[remove - 1]
        await client.post("/rules/remove", {"key": one["key"], "section": one["section"], "rule": one["rule"]})
        return [other for other in found if other is not one]
