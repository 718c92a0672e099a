"""The workflow file: read, checked, kept in versions, compiled into the plan of a run."""
