"""The ground: tables, migrations, the event log. The only room that knows SQL."""
