from __future__ import annotations

from handrail.policy import Action, Request
from handrail.policy.mine import READS, allows, mine
from handrail.policy.places import file_rule, place

PLACE = "/work/project"


def write(path: str) -> tuple[Request, ...]:
    return (Request(Action.WRITE, path, workspace=PLACE),)


def run(command: str, folder: str | None = None) -> tuple[Request, ...]:
    return (Request(Action.SHELL, command, workspace=PLACE, folder=folder),)


def test_each_rule_says_in_how_many_acts_it_was_seen() -> None:
    mined = mine([run("make test"), run("make test && git status"), write("a.py"), write("a.py")])
    assert [(one.rule, one.seen) for one in mined.rules] == [("make test", 2), ("git status", 1), ("./a.py", 2)]
    assert mined.unnamed == ()


def test_what_no_narrow_rule_can_name_is_said() -> None:
    odd = [run("rm *.pyc"), run("rm $x"), write("a*b"), (Request(Action.OTHER, "some tool"),)]
    mined = mine(odd)
    assert mined.rules == ()
    assert len(mined.unnamed) == 4
    assert mine([run("cat < in.txt")]).rules[0].rule == "cat"


def test_a_redirection_writes_where_the_shell_stood() -> None:
    mined = mine([run("cd docs && echo x > y.md", "sub"), run("make > out.txt")])
    assert [one.rule for one in mined.rules] == ["cd docs", "echo x", "./sub/docs/y.md", "make", "./out.txt"]
    assert allows(mined.document, run("make > out.txt"))
    assert not allows(mined.document, run("make > other.txt"))


def test_reading_in_the_workspace_passes_and_outside_only_as_seen() -> None:
    mined = mine([(Request(Action.READ, path, workspace=PLACE),) for path in ("a.py", "/usr/include/x.h")])
    assert [one.rule for one in mined.rules] == [READS, "read /usr/include/x.h"]
    assert allows(mined.document, (Request(Action.READ, "b/c.py", workspace=PLACE),))
    assert not allows(mined.document, (Request(Action.READ, "/etc/shadow", workspace=PLACE),))


def test_a_dot_names_the_top_alone() -> None:
    rule = file_rule("./Makefile")
    assert rule.allows(place("Makefile", PLACE))
    assert not rule.allows(place("sub/Makefile", PLACE))
    assert rule.forbids(place("makefile", PLACE))
    assert file_rule("./src/**").allows(place("src/a.py", PLACE))
    assert not file_rule("./src").allows(place("x/src", PLACE))
