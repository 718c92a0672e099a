"""The filter run by a small interpreter of classic BPF, for both machines; the kernel runs it in test_escapes."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from handrail.sandbox import seccomp
from handrail.sandbox.seccomp import ALLOW, DENIED, ERRNO, INSPECTED, MACHINES, MISSING, filter_program

DENY, NONE, FAMILY = ERRNO | 1, ERRNO | 38, ERRNO | 97


def run(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    program = filter_program(machine)
    assert program is not None
    given = [value & (2**64 - 1) for value in arguments] + [0] * (6 - len(arguments))
    data = struct.pack("<IIQ6Q", number, MACHINES[machine][1] if architecture is None else architecture, 0, *given)
    accumulator = position = 0
    while True:
        code, yes, no, value = struct.unpack_from("<HBBI", program, position * 8)
        position += 1
        match code:
            case seccomp.LOAD:
                accumulator = struct.unpack_from("<I", data, value)[0]
            case seccomp.AND:
                accumulator &= value
            case seccomp.RETURN:
                return int(value)
            case seccomp.JUMP_EQUAL:
                position += yes if accumulator == value else no
            case seccomp.JUMP_SET:
                position += yes if accumulator & value else no
            case seccomp.JUMP_AT_LEAST:
                position += yes if accumulator >= value else no
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("machine", MACHINES)
def test_listed_calls_are_refused(machine: str) -> None:
    column = MACHINES[machine][0]
    for table, answer in ((DENIED, DENY), (MISSING, NONE)):
        for numbers in table.values():
            if (number := numbers[column]) is not None:
                assert run(machine, number) == answer


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_are_inspected(machine: str) -> None:
    column = MACHINES[machine][0]
    number = {name: numbers[column] or 0 for name, numbers in INSPECTED.items()}
    assert run(machine, number["clone"], 17) == ALLOW
    assert run(machine, number["clone"], 0x10000000 | 17) == DENY
    assert run(machine, number["clone"], 0x80) == ALLOW
    assert run(machine, number["unshare"], 0x400) == ALLOW
    assert run(machine, number["unshare"], 0x80) == DENY
    assert run(machine, number["ioctl"], 0, 0x5401) == ALLOW
    assert run(machine, number["ioctl"], 0, 0x5412) == DENY
    assert run(machine, number["ioctl"], 0, 0x541C) == DENY
    assert run(machine, number["ioctl"], 0, 0x1_0000_5412) == DENY, "the kernel looks at 32 bits only"
    assert [run(machine, number["socket"], family) for family in (1, 2, 10, 16)] == [ALLOW] * 4
    assert [run(machine, number["socket"], family) for family in (0, 17, 38, 40)] == [FAMILY] * 4
    assert run(machine, number["socketpair"], 1) == ALLOW
    assert run(machine, number["mknodat"], -100, 0, 0o010644) == ALLOW
    assert run(machine, number["mknodat"], -100, 0, 0o020644) == DENY
    assert run(machine, number["mknodat"], -100, 0, 0o060644) == DENY


@pytest.mark.parametrize("machine", MACHINES)
def test_everything_else_is_allowed(machine: str) -> None:
    column = MACHINES[machine][0]
    listed = {numbers[column] for table in (DENIED, MISSING, INSPECTED) for numbers in table.values()}
    assert all(run(machine, number) == ALLOW for number in range(470) if number not in listed)


def test_calls_of_another_architecture_do_not_exist() -> None:
    assert run("x86_64", 0, architecture=0x40000003) == NONE
    assert run("x86_64", 0x40000000) == NONE
    assert run("aarch64", 0, architecture=0xC000003E) == NONE


def test_an_unknown_machine_has_no_filter() -> None:
    assert filter_program("riscv64") is None


@pytest.mark.parametrize(
    ("column", "pattern", "header"),
    [
        (0, r"#define __NR_(\w+) (\d+)", "x86_64-linux-gnu/asm/unistd_64.h"),
        (1, r"#define __NR(?:3264)?_(\w+) (\d+)", "asm-generic/unistd.h"),
    ],
)
def test_the_numbers_are_those_of_the_kernel(column: int, pattern: str, header: str) -> None:
    path = Path("/usr/include", header)
    if not path.exists():
        pytest.skip("linux-libc-dev is not installed")
    kernel = {name: int(number) for name, number in re.findall(pattern, path.read_text())}
    ours = {name: numbers[column] for table in (DENIED, MISSING, INSPECTED) for name, numbers in table.items()}
    # calls that are newer than the header, or long gone, are not in it
    assert {name: number for name, number in ours.items() if name in kernel and kernel[name] != number} == {}
    assert len([name for name in ours if name in kernel]) > 40
