from __future__ import annotations

import random
import time

import pytest

from handrail.cli.clean import clean, one_line, reveal, split_open

ESC = "\x1b"


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        (f"{ESC}[31mred{ESC}[0m", "red"),
        (f"{ESC}[2J{ESC}[H{ESC}[?1049hup", "up"),
        (f"{ESC}]0;title\x07after", "after"),
        (f"{ESC}]52;c;ZXZpbA=={ESC}\\after", "after"),
        (f"{ESC}]8;;http://evil.example{ESC}\\link{ESC}]8;;{ESC}\\", "link"),
        (f"{ESC}Pq#0;2;0;0;0{ESC}\\x", "x"),
        (f"{ESC}_apc{ESC}\\{ESC}^pm{ESC}\\{ESC}Xsos{ESC}\\x", "x"),
        ("\x9b31mred\x9d0;t\x9cx", "redx"),
        (f"{ESC}cwiped", "wiped"),
        (f"{ESC}(0lines", "lines"),
        (f"{ESC}7{ESC}8{ESC}=x", "x"),
        ("over\rwritten", "over\nwritten"),
        ("a\r\nb", "a\nb"),
        ("a\x08\x08b\x00\x7f", "ab"),
        ("bell\x07", "bell"),
        ("if access \u202e\u2066// check\u2069", "if access // check"),
        ("in\u200bvisible\ufeff\u2060", "invisible"),
        ("tag\U000e0041\U000e007f", "tag"),
        ("\ud800lone", "\ufffdlone"),
        ("\u2028line", "\nline"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
        ("नमस्ते \u200c日本", "नमस्ते \u200c日本"),
    ],
)
def test_nothing_that_acts_on_a_terminal_stays(given: str, want: str) -> None:
    assert clean(given) == want


def test_a_string_that_never_ends_hides_nothing() -> None:
    assert clean(f"{ESC}]0;rm -rf /\nsecond line") == "]0;rm -rf /\nsecond line"
    assert "payload" in clean(f"{ESC}]{'x' * 5000}payload\x07")


def test_cleaning_twice_changes_nothing_and_leaves_no_control() -> None:
    chosen = random.Random(7)  # noqa: S311 - a repeatable test
    pieces = [ESC, "[", "]", "P", "\\", "\x07", "\x9b", "\x9d", "\x9c", "31m", ";", "a", "\r", "\n", "\u202e", "0", "?"]
    for _ in range(3000):
        text = "".join(chosen.choices(pieces, k=chosen.randrange(1, 24)))
        once = clean(text)
        assert not set(once) & {ESC, "\r", "\x07", "\x9b", "\x9c", "\x9d", "\u202e"}, repr(text)
        assert clean(once) == once


@pytest.mark.parametrize("piece", [ESC, f"{ESC}]", f"{ESC}[", f"{ESC}P", "\x9d", f"{ESC}[0", "\x9b;"])
def test_a_megabyte_of_openings_takes_no_time(piece: str) -> None:
    begin = time.process_time()
    clean(piece * (1_000_000 // len(piece)))
    assert time.process_time() - begin < 2.0


def test_reveal_takes_nothing_away() -> None:
    assert reveal(f"rm -rf /{ESC}[2K\recho ok") == "rm -rf /\\x1b[2K\\x0decho ok"
    assert reveal("a\u202eb\u200bc\U000e0041") == "a\\u202eb\\u200bc\\U000e0041"
    assert reveal("two\nlines\tand a tab") == "two\nlines\tand a tab"


def test_one_line_is_one_line_and_is_cut() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("x" * 300, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("text", [f"a{ESC}[31mb", f"a{ESC}]0;t\x07b", f"a{ESC}]52;c;x{ESC}\\b", "a\r\nb"])
def test_a_sequence_that_is_cut_by_the_stream_is_cleaned_whole(text: str) -> None:
    for at in range(1, len(text)):
        ready, held = split_open(text[:at])
        more, rest = split_open(held + text[at:])
        shown = clean(ready) + clean(more) + clean(rest)
        assert ESC not in shown
        assert shown.startswith("a")
        assert shown.endswith("b")


def test_a_long_open_sequence_is_not_held_for_ever() -> None:
    ready, held = split_open(ESC + "]" + "x" * 400)
    assert held == ""
    assert ready
