"""`python -m handrail.web`: a server (see `serve`), loaded without looks for garbage.

Loading makes tens of thousands of objects that stay; looking through them again and again is a tenth of a start.
`serve` begins to look when the start is over.
"""

from __future__ import annotations

import gc
import sys

from handrail.lazy import Later

_serve = Later("handrail.web.serve")

if __name__ == "__main__":
    gc.disable()
    sys.exit(_serve.load().main())
