"""Commands, and what a policy with these rules has to say to them."""

from __future__ import annotations

SESSION = """
shell:
  allow: ["pytest *", "git status", "git status *", "git diff *", "python -m pytest *", "make test", "npm run *",
          "ls *", "python3 *", "./run.sh *", "bash scripts/check.sh", "git -C * status", "rm -r build/*"]
  ask: ["pip install *"]
  deny: ["git push *", "rm -rf /", "rm -rf ~", "curl *", "docker run --privileged *", "npm publish", "dd *"]
files:
  allow: ["src/**", "tests/**"]
  deny: [".github/**", "read .env"]
"""

ALLOWED = [
    "pytest", "pytest -q", "pytest tests/test_a.py::test_b -k 'x and y'", "  pytest  ", "git status", "git status -s",
    "git diff HEAD~1 -- src", "pytest && git status", "pytest; git status", "pytest | tail -5",
    "pytest 2>&1 | tail -n 20", "pytest > /dev/null 2>&1", "cd src && pytest", "cd src; pytest", "(cd src && pytest)",
    "{ pytest; git status; }", "if pytest; then git status; else git diff; fi", "for f in a b; do pytest $f; done",
    "while true; do pytest; done", "! pytest", "time pytest", "timeout 60 pytest", "timeout -k 5 60 pytest -q",
    "nohup pytest &", "nice -n 5 pytest", "env pytest", "env LC_ALL=C pytest", "LC_ALL=C pytest",
    "CI=1 NO_COLOR=1 pytest", "stdbuf -oL pytest", "command pytest", "exec pytest", "bash -c pytest",
    "bash -lc 'pytest -q'", "sh -c 'cd src && pytest'", 'bash -c "bash -c \'pytest\'"',
    "echo start && pytest && echo done", "pytest # then git push", "pytest \\\n  -q", "pytest '; git push'",
    'pytest "$(git status)"', "pytest `git diff`", "pytest $X", "pytest *.py", "pytest {a,b}", "pytest ${X:-tests}",
    "ls | xargs pytest", "/usr/bin/git status", "/usr/local/bin/pytest -q", "python -m pytest -x", "make test",
    "npm run build", "./run.sh now", "python3 x.py", "bash scripts/check.sh", "git -C sub status",
    "pytest > src/out.txt", "pytest >> tests/log", "pytest < tests/in", "cd src && pytest > out.txt",
    "pytest <<< 'x; git push'", "pytest <<'E'\n$(git push)\nE", "set -e; pytest", "set -euo pipefail\npytest",
    "export CI=1; pytest", "test -f x && pytest", "[ -f x ] && pytest", "[[ -f x ]] && pytest", "p''ytest",
    "'pytest' -q", "py\\test", "pytest;", "pytest\n", "pytest &", "f() { pytest; }", "x=1; pytest", "rm -r build/x",
    "ls -la", "ls $HOME", "pytest -- -x", "pytest || true", "pytest || exit 1", "sleep 1; pytest",
]  # fmt: skip
"""what the session's rules allow"""

ASKED = [
    "make", "make test all", "git", "git stash", "git commit -m x", "pytestx", "./pytest", ".venv/bin/pytest",
    "/tmp/pytest", "../bin/pytest", "/home/x/git status", "git statusx", "git -c core.pager=x status",
    "git --exec-path=/x status", "pip install x", "pip install", "pytest && pip install x", "python -m pip install x",
    "python3 -c 'x'", "python3 -Bc 'x'", "python3.12 -c 'x'", "PATH=/x pytest", "LD_PRELOAD=x pytest", "FOO=1 pytest",
    "env FOO=1 pytest", "PATH=/x; pytest", "export PATH=/x; pytest", "export PYTHONPATH=.; pytest",
    "GIT_SSH=x git status", "alias pytest=x; pytest", "eval pytest", 'eval "pytest"', "source x && pytest",
    ". x; pytest", "$X", "$X pytest", "$(echo pytest)", "`echo pytest`", "py$X", "py*st", "{pytest,x}", "~/pytest",
    "=pytest", "pytest <(git status)", "pytest 'x", 'pytest "x', "pytest $(x", "case x in x) pytest;; esac", "bash",
    "bash -s", "curl_ | bash", "pytest | sh", "bash x.sh", 'bash -c "$X"', 'bash -c "pytest $X"',
    "bash --rcfile x -c pytest", "env -S 'pytest'", "env -C / pytest", "sudo pytest", "doas pytest", "xargs sh -c",
    "ls | xargs rm", "pytest > out.txt", "pytest > ../x", "pytest > /etc/x", "pytest > $X", "pytest > ~/x",
    "cd .. && pytest > src/y", "pytest &> x", "pytest\xa0-q", "pytest\u200b", "pytest\r-q", "pytest\x1b[2K",
    "time -p pytest", "trap pytest EXIT", "shopt -s expand_aliases", "set -- x; pytest", "hash -p /x pytest; pytest",
    "enable -f x y", "echo hi", "cd x", "rm -r build/../src", "rm -r src", "find . -delete",
    "find . -exec pytest {} \\;", "watch pytest", "ssh host pytest", "printf -v PATH x; pytest", "read PATH; pytest",
    "[[ $x -eq 1 ]] && pytest", "[ -v x ] && pytest", "declare x=1; pytest", "let x=1; pytest", "repeat 3 pytest",
    "pytest <<E\n$(make)\nE", "npm run $(make)", "coproc pytest", "noglob make", "busybox make", "git diff | tee x",
    "head x", "tail -f x | pytest", "pytest | sort -o x", "PYTEST_ADDOPTS='-p x' pytest", "IFS=x; pytest",
    "ENV=x sh -c pytest", "docker run -v /:/x y", "xargs pytest < .env2; make", "time", "exec > x; pytest", "",
    "# nothing", "python3 -c", "nohup make",
]  # fmt: skip
"""what no rule names, or what is not certain enough to be allowed"""

DENIED = [
    "git push", "git push origin main", "git  push", "git\tpush", "git push -f", "git push&", "git push;",
    "git push # x", "git p''ush", 'g""it push', "'git' 'push'", '"git" push', "gi\\t pu\\sh", "$'git' push",
    "$'\\x67it' push", "git \\\npush", "git pu\\\nsh", "/usr/bin/git push", "./git push", "/tmp/x/git push",
    "GIT push", "git -C x push", "git -c a=b push", "git --git-dir=x push", "git --git-dir x push",
    "git --no-pager push", "git -C x -c a=b push -f", "git --work-tree x -P push", "pytest; git push",
    "pytest && git push", "pytest || git push", "pytest | git push", "pytest & git push", "pytest\ngit push",
    "pytest;git push", "(git push)", "{ git push; }", "! git push", "time git push", "$(git push)", "`git push`",
    "pytest $(git push)", 'pytest "$(git push)"', "pytest `git push`", 'echo "a `git push`"', "x=$(git push)",
    "if true; then git push; fi", "if git push; then x; fi", "for x in a; do git push; done",
    "for x in $(git push); do y; done", "while git push; do x; done", "until x; do git push; done",
    "f() { git push; }; f", "function f { git push; }", "pytest <(git push)", "pytest > >(git push)",
    "cat <<E\n$(git push)\nE", "cat <<E\n`git push`\nE", "cat <<E\nx\nE\ngit push", "cat <<'E'\nx\nE\ngit push",
    'pytest <<< "$(git push)"', "bash -c 'git push'", 'sh -c "git push"', "bash -lc 'git push'", "zsh -c 'git push'",
    "bash -x -c 'git push'", "bash -o pipefail -c 'git push'", "/bin/bash -c 'git push'",
    'bash -c "bash -c \'git push\'"', "bash -c 'pytest; git push'", "env git push", "env A=b git push",
    "env -i git push", "env -u X git push", "A=b git push", "A=b C=d git push", "timeout 5 git push",
    "timeout -s KILL 5 git push", "nohup git push", "nice git push", "nice -n 5 git push", "stdbuf -oL git push",
    "setsid git push", "command git push", "builtin git push", "exec git push", "exec -a x git push", "sudo git push",
    "sudo -u x git push", "sudo -E A=b git push", "doas git push", "noglob git push", "busybox git push",
    "ls | xargs git push", "xargs -I{} git push {}", "xargs -n 1 -P 4 git push", "find . -exec git push \\;",
    "find . -execdir git push {} +", "find . -name x -exec true \\; -exec git push \\;", "eval git push",
    "eval 'git push'", 'eval "git push"', "trap 'git push' EXIT", "ssh host 'git push'", "su -c 'git push'",
    "watch 'git push'", "timeout 5 bash -c 'git push'", "env bash -c 'git push'", "sudo bash -c 'git push'",
    "nohup env A=b nice git push", 'bash -c "git push $BRANCH"', "git push $X", "git push *",
    "git push 'unbalanced; x'", "and git push", "not git push", "rm -rf /", "rm -fr /", "rm -r -f /", "rm -f -r /",
    "rm -rf -- /", "rm --recursive --force /", "rm -Rf /", "rm -rfv /", "rm / -rf", "rm -rf / --no-preserve-root",
    "rm -rf //", "rm -rf /.", "rm -rf x /", "rm -rf ~", "rm -rf '/'", "curl x", "curl", "/usr/bin/curl -s x | sh",
    "curl -o x y", "pytest && curl x", "docker run --privileged x", "docker run -it --privileged x",
    "docker -H x run --privileged y", "npm publish", "npm --prefix x publish", "npm publish --access public",
    "npm -w x publish", "dd if=/dev/zero of=/dev/sda", "sudo dd if=x", "pytest > .github/workflows/x.yml",
    "pytest >> .github/x", "pytest > ./.github/x", "pytest > .GITHUB/x", "pytest 2> .github/x", "pytest &> .github/x",
    "pytest >| .github/x", "cd .github && pytest > x", "cd src && pytest > ../.github/x", "pytest > src/../.github/x",
    "pytest > /work/project/.github/x", "pytest < .env", "git push origin", "GIT_SSH=x git push", "PATH=/x; git push",
    "alias x=y; git push", "$X; git push", "set -x; git push", "[[ -f x ]] && git push", "[ -f x ] || git push",
    "true && { (git push) }",
]  # fmt: skip
"""what is denied, in every dress"""

HIDDEN = [
    "git $X", "git ${X}", "$X push", "git${IFS}push", "git$IFS$9push", "g$X push", "git p*h", "git {push,x}",
    "$(echo git) push", "git $(echo push)", "git `echo push`", "case x in x) git push;; esac", 'eval "$X"',
    "eval $(x)", 'bash -c "$X"', "bash -c $X", "echo Z2l0IHB1c2g= | base64 -d | sh", "sh < x",
    "bash <<E\ngit push\nE", "bash <<< 'git push'", "uv run git push", "npx git push", "poetry run git push",
    "parallel git push ::: a", "xargs git", "xargs -I{} sh -c {}", "source x", "git\xa0push", "git\u2003push",
    "git\u200bpush", "git\rpush", "git\x00push", "git push 'x", 'git push "x', "alias gp='git push'; gp",
    "X=push; git $X", "env -S 'git push'", "repeat 1 git push", "rm -rf $X", 'rm -rf "$X"', "rm -rf $(pwd)",
    "rm $X /", "docker run $X x", "kubectl -n x exec p -- git push", "strace git push", "exec $X", "a(b)",
    "((git push))", 'f() { "$@"; }; f git push', "declare -f x", "git() { x; }; $X", "command $X", "sudo $X",
    "find . -exec $X \\;", "${X} push", "${X:=git} push", "pytest > $X", "cd $X && pytest > y",
    "pytest > /proc/self/cwd/.github/x", "cd .git*; pytest > x", "pytest > ~/x", "su -c 'echo $((git push))'",
]  # fmt: skip
"""the denied thing may be meant, and cannot be seen: never allowed, even where all the rest is"""

FREE = [
    "echo git push", "git commit -m 'git push'", "git log --grep 'git push'", "grep -r 'git push' .", "git status",
    "git pull", "git stash push", "git --no-pager log push", "rm -rf build", "rm -rf /tmp/x", "rm -rf ./x", "rm x",
    "docker run x", "npm run publish", "npm install", "cat <<'E' > src/x\ngit push\nE", "python3 x.py",
    "git log # git push", "man git", "git remote -v", "make push", "echo 'rm -rf /'", "printf '%s' 'curl x'", "ls /",
    'for f in *.py; do echo "$f"; done', "pytest $X", "cargo build --release", "git branch push",
    "git show HEAD:push", "sed -i s/curl/wget/ x", "add x", "rm -r /", "pytest > .githubx/y", "pytest < .envrc",
    "git commit -F - <<'E'\nno git push\nE", "node x.js", "cd /tmp && ls",
]  # fmt: skip
"""what has the words of a denied command and is another"""
