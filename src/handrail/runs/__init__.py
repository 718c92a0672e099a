"""The durable course of a run and its tasks. Nothing above this room knows what carries it.

`supervisor.Runs` is the door. A run is a row with its plan; a task is a row with its state, its step and what each
step gave. `course` carries one task forward, a step at a time, each stored before the next begins; `verdict`, `gate`,
`spread`, `proposals` and `likeness` are pure decisions; `hands` is what people do to tasks; `closing` ends runs.
Why no engine of others stands below: docs/explanation/engine.md.
"""
