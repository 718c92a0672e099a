"""The ground: tables, migrations, the event log. The only room that knows SQL.

`engine.Store` opens the database; `Store.log` is its `log.EventLog`. Each family of tables has one module: functions
that read through the store, or make a `Write` that goes to `EventLog.append` together with the events it belongs to.
"""
