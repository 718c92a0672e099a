from __future__ import annotations

import tomllib

import pytest

from handrail.agents.catalogue.schema import read_spec
from handrail.agents.spec import Ask, AskHow, Choices, Load, Registry, Resume
from handrail.errors import InvalidInput

WHOLE = """
title = "Mine"
licence = "MIT"
wire = "gemini"
command = ["{node}", "{prefix}/x.js"]
model = "m"
stops_on_eof = false
opens_with_prompt = true
notes = ["a note"]
[package]
registry = "npm"
name = "@a/b"
version = "1.2.3"
check = "x.js"
scripts = true
[ask]
how = "option"
value = "ask"
option = "permission_mode"
[resume]
how = "resume"
trusted = true
[choices]
allow = ["y"]
reject = ["n"]
[[errors]]
pattern = "^E"
kind = "limit"
[env]
A = "1"
[files]
".x/y" = "z"
"""


def test_a_whole_file() -> None:
    spec = read_spec("mine", tomllib.loads(WHOLE), "mine.toml")
    assert (spec.name, spec.title, spec.wire, spec.model) == ("mine", "Mine", "gemini", "m")
    assert spec.package is not None
    assert (spec.package.registry, spec.package.name, spec.package.scripts) == (Registry.NPM, "@a/b", True)
    assert spec.ask == Ask(AskHow.OPTION, "ask", "permission_mode")
    assert spec.resume == Resume(Load.RESUME, trusted=True)
    assert spec.choices == Choices(("y",), ("n",))
    assert [(error.pattern.pattern, error.kind) for error in spec.errors] == [("^E", "limit")]
    assert (dict(spec.env), dict(spec.files)) == ({"A": "1"}, {".x/y": "z"})
    assert (spec.stops_on_eof, spec.opens_with_prompt, spec.notes) == (False, True, ("a note",))


def test_the_least() -> None:
    spec = read_spec("mine", {"command": ["x"]}, "mine.toml")
    assert (spec.title, spec.wire, spec.package, spec.ask, spec.resume) == ("mine", "openai", None, Ask(), Resume())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "command"),
        ('command = "x"', "array of texts"),
        ("command = [1]", "array of texts"),
        ('command = [""]', "program"),
        ('command = ["x"]\nwire = "morse"', "anthropic, openai, gemini"),
        ('command = ["x"]\nwier = "openai"', "wier: 'openai' cannot be used: there is no such key"),
        ('command = ["x"]\ntitle = 5', "title: 5"),
        ('command = ["x"]\nstops_on_eof = "no"', "true or false"),
        ('command = ["x"]\nenv = 5', "table"),
        ('command = ["x"]\n[env]\nA = 5', "env.A: 5"),
        ('command = ["x"]\n[env]\n"A B" = "x"', "letters, digits"),
        ('command = ["x"]\n[files]\n"../x" = "x"', "without '..'"),
        ('command = ["x"]\n[files]\n"/etc/passwd" = "x"', "inside the session's home"),
        ('command = ["x"]\n[ask]\nhow = "mode"', "give the mode"),
        ('command = ["x"]\n[ask]\nhow = "politely"', "mode, option, environment"),
        ('command = ["x"]\nask = "mode"', "table"),
        ('command = ["x"]\n[resume]\nhow = "maybe"', "load, resume, none"),
        ('command = ["x"]\n[resume]\nhow = "load"\nsure = true', "resume: sure"),
        ('command = ["x"]\n[[errors]]\npattern = "("\nkind = "limit"', "regular expression"),
        ('command = ["x"]\n[[errors]]\npattern = "x"\nkind = "bad"', "auth, limit, provider, agent"),
        ('command = ["x"]\nerrors = 5', "array of tables"),
        ('command = ["x"]\n[package]\nregistry = "npm"\nname = "a"\nversion = "^1"\ncheck = "x"', "exact version"),
        ('command = ["x"]\n[package]\nregistry = "npm"\nname = "a;b"\nversion = "1"\ncheck = "x"', "package's name"),
        ('command = ["x"]\n[package]\nregistry = "npm"\nname = "a"\nversion = "1"\ncheck = "/x"', "inside the package"),
        ('command = ["x"]\n[package]\nregistry = "pypi"\nname = "a"\nversion = "1"\ncheck = "x"\npython = "3"', "3.12"),
        ('command = ["x"]\n[package]\nregistry = "brew"\nname = "a"\nversion = "1"\ncheck = "x"', "npm, pypi"),
    ],
)
def test_every_mistake_is_told_with_file_key_and_mend(content: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_spec("mine", tomllib.loads(content), "mine.toml")
    assert caught.value.message.startswith("mine.toml: ")
    assert said in caught.value.message
