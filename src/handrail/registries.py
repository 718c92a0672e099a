"""Package registries by name: what installing from each needs, and no host that anything could be published at.

A registry that serves downloads and uploads at one host (npm, crates) cannot be split by a name filter; what that means
is said in `docs/explanation/egress.md`.
"""

from __future__ import annotations

from collections.abc import Mapping

REGISTRIES: Mapping[str, tuple[str, ...]] = {
    "alpine": ("dl-cdn.alpinelinux.org:443", "dl-cdn.alpinelinux.org:80"),
    "conda": ("conda.anaconda.org:443", "repo.anaconda.com:443"),
    "crates": ("index.crates.io:443", "static.crates.io:443"),
    "debian": ("deb.debian.org:80", "deb.debian.org:443", "security.debian.org:80", "security.debian.org:443"),
    "go": ("proxy.golang.org:443", "sum.golang.org:443"),
    "hex": ("repo.hex.pm:443", "builds.hex.pm:443"),
    "maven": ("repo1.maven.org:443", "repo.maven.apache.org:443"),
    "npm": ("registry.npmjs.org:443",),
    "nuget": ("api.nuget.org:443",),
    "packagist": ("repo.packagist.org:443",),
    "pypi": ("pypi.org:443", "files.pythonhosted.org:443"),
    "rubygems": ("rubygems.org:443", "index.rubygems.org:443"),
    "ubuntu": ("archive.ubuntu.com:80", "security.ubuntu.com:80", "ports.ubuntu.com:80"),
    "yarn": ("registry.yarnpkg.com:443",),
}
"""name → host:port"""
