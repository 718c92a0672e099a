"""Try everything and print what got through."""

from __future__ import annotations

import json
import sys

from tests.sandbox.battery import ATTEMPTS, files, kernel, reach, tried

given = json.loads(sys.argv[1])
groups = {files.__name__: "files", kernel.__name__: "kernel", reach.__name__: "reach"}
answers = {name: [groups[function.__module__], *tried(function, given)] for name, function in ATTEMPTS.items()}
print(json.dumps(answers))
