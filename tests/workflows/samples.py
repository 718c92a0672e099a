"""A workflow that uses most of what a file can hold."""

WHOLE = """\
name: fix-nightly
description: Mend what broke during the day.
on:
  schedule:
    - {cron: "0 3 * * 1-5", zone: Europe/Berlin, catch_up: none, lateness: 2h}
    - cron: "@daily"
  forge:
    - events: pull_request
      actions: [opened, synchronize]
      when: "pull_request.draft == `false`"
  alert: {source: prometheus, when: status == 'firing'}
  manual:
    inputs:
      branch: {default: main}
      depth: {type: integer, default: 3}
goal: |
  Mend {{ inputs.branch }}: {{ event.pull_request.title }}
agent: claude
model: opus
repositories: [github:acme/*, "!github:acme/old"]
checks: ["pytest -q", {command: make lint, timeout: 5m}]
policy:
  shell:
    allow: ["pytest *"]
    deny:
      - git push *
network: pypi
effects:
  then:
    - pull_request: {title: "Mend {{ event.pull_request.title }}"}
    - push
    - label:
        add: mended
  propose: comment
budget: {usd: 2.50, time: 1h, turns: 12, run: {usd: 20}}
trust: sampled
sample: 10%
unwatched: merge
retries: {quota: 9}
timeout: 1d
concurrency: 3
canary: 1
stop_at_failure_rate: 0.3
notify: slack
"""

STEPS = """\
name: change
on:
  manual: {inputs: {what: {description: what to do}}}
steps:
  - name: implement
    goal: "{{ inputs.what }}"
    checks: make test
  - {name: look, goal: Review the change., agent: codex, review: true, budget: {usd: 1}}
  - {name: mend, goal: Do what the review asks for., checks: make test}
agent: claude
model: opus
provider: work
"""
