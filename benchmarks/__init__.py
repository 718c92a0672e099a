"""Speed beside a bare loop in the same run: `make bench`. Ratios travel between machines, times do not.

Each module measures one thing and returns `Figure`s; `__main__` prints one line a figure (`name value unit bare ratio`)
and writes the same to `latest.json`. Nothing here is a test: a figure is read, not asserted.
"""
