from __future__ import annotations

from handrail.web.pages import patch

TWO = """diff --git a/a.py b/a.py
index 1..2 100644
--- a/a.py
+++ b/a.py
@@ -3,4 +3,5 @@ def f():
 same
-old one
-old two
+new one
+new two
+new three
 end
\\ No newline at end of file
diff --git a/old.bin b/new.bin
rename from old.bin
rename to new.bin
Binary files a/old.bin and b/new.bin differ
"""


def test_files_hunks_and_numbers() -> None:
    files, cut = patch.files(TWO)
    assert not cut
    assert [file.path for file in files] == ["a.py", "new.bin"]
    assert files[1].notes[0] == "rename from old.bin"
    hunk = files[0].hunks[0]
    assert hunk.header == "def f():"
    assert [(line.mark, line.old, line.new) for line in hunk.lines] == [
        ("same", 3, 3), ("removed", 4, None), ("removed", 5, None),
        ("added", None, 4), ("added", None, 5), ("added", None, 6), ("same", 6, 7),
    ]  # fmt: skip


def test_side_by_side_what_came_stands_beside_what_went() -> None:
    pairs = [(a and a.text, b and b.text) for a, b in patch.files(TWO)[0][0].hunks[0].pairs()]
    assert pairs == [
        ("same", "same"), ("old one", "new one"), ("old two", "new two"), (None, "new three"), ("end", "end")
    ]  # fmt: skip


def test_lines_that_look_like_headers_are_lines() -> None:
    text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n---- a\n++++ b\n same\n"
    assert [line.text for line in patch.files(text)[0][0].hunks[0].lines] == ["--- a", "+++ b", "same"]


def test_a_tick_falls_when_the_change_is_another() -> None:
    before, after = patch.files(TWO)[0][0], patch.files(TWO.replace("new two", "new 2"))[0][0]
    assert before.mark == patch.files(TWO)[0][0].mark != after.mark


def test_what_is_no_patch_breaks_nothing_and_length_is_cut() -> None:
    for text in ("", "x\n", "@@ -1 +1 @@\n", "diff --git \n@@ -x +y @@\n+a"):
        patch.files(text)
    assert patch.files("diff --git a/x b/x\n@@ -1 +1 @@\n" + "+x\n" * patch.MOST_LINES)[1]
