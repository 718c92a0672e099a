# Runs inside a session's walls, by `snapshots.py`. Nothing it prints is trusted.
# In: GIT_DIR, GIT_WORK_TREE, GIT_COMMON_DIR, GIT_INDEX_FILE (an index of our own), BASE, BIG_KB, and for
# `snapshot`: PREVIOUS, LABEL, standard input (`^commit` lines); for `restore`: COMMIT, HEAD_COMMIT, BRANCH; for
# `leave_out`: arguments (pathspecs).
set -u

broken() {
    echo "handrail: $1" >&2
    exit 3
}

ignored() { git check-ignore -q --no-index -- "$1"; }

unchanged() {
    git ls-files --error-unmatch -- ":(literal)$1" >/dev/null 2>&1 && git diff-files --quiet -- ":(literal)$1"
}

submodule() {
    case $(git ls-tree "$BASE" -- "$1" 2>/dev/null) in 160000*) return 0 ;; *) return 1 ;; esac
}

# A repository that the agent made inside the tree: its files, without its `.git`, become files of ours.
take_nested() {
    nested=$GIT_INDEX_FILE.nested
    rm -f "$nested" "$nested.lock"
    (
        cd "$1" || exit 1
        GIT_WORK_TREE=$PWD GIT_INDEX_FILE=$nested git add --all --ignore-errors -- . >/dev/null 2>&1
        GIT_WORK_TREE=$PWD GIT_INDEX_FILE=$nested git write-tree
    ) >"$nested.tree" 2>/dev/null &&
        git rm -r -q -f --cached --ignore-unmatch -- ":(literal)$1" &&
        git read-tree --prefix="$1/" "$(cat "$nested.tree")"
    rm -f "$nested" "$nested.tree"
}

# Everything but ignored and very big files into our index; names what it left out, one `left PATH` a line.
add_all() {
    set -- .
    found=$(find . -xdev -path ./.git -prune -o -name .git -print -prune -o -type f -size "+${BIG_KB}k" -print 2>/dev/null)
    while IFS= read -r path; do
        path=${path#./}
        case $path in
        '') ;;
        */.git)
            path=${path%/.git}
            if ! ignored "$path" && ! submodule "$path" && [ -z "$(git ls-files -- ":(literal)$path/")" ]; then
                take_nested "$path"
                set -- "$@" ":(top,exclude,literal)$path"
            fi
            ;;
        *)
            if ! ignored "$path" && ! unchanged "$path"; then
                set -- "$@" ":(top,exclude,literal)$path"
                printf 'left %s\n' "$path"
            fi
            ;;
        esac
    done <<END
$found
END
    # Also what the agent wrote where a file of an untrusted ref was left out; git before 2.34 lacks the option.
    sparse=
    [ -f "$GIT_DIR/info/sparse-checkout" ] && sparse=--sparse
    git add --all $sparse --ignore-errors -- "$@" >/dev/null
}

add_all_or_afresh() {
    add_all
    [ $? -lt 2 ] && return 0
    rm -f "$GIT_INDEX_FILE"
    add_all
}

snapshot() {
    add_all_or_afresh
    [ $? -lt 2 ] || broken "the files could not be added"
    tree=$(git write-tree) || broken "the tree could not be written"
    set -- $(git rev-parse 'HEAD^{commit}' "$PREVIOUS^{tree}" -- 2>/dev/null)
    if [ $# = 3 ]; then
        head=$1 old_tree=$2
    else
        head=$(git rev-parse -q --verify 'HEAD^{commit}') || head=$BASE
        old_tree=$(git rev-parse -q --verify "$PREVIOUS^{tree}") || broken "the snapshot before is gone"
    fi
    if [ "$PREVIOUS" = "$BASE" ]; then
        old_head=$BASE
    else
        old_head=$(git rev-parse -q --verify "$PREVIOUS^2" || git rev-parse -q --verify "$PREVIOUS^1")
    fi
    if [ "$tree" = "$old_tree" ] && [ "$head" = "$old_head" ]; then
        printf 'commit %s\n\n' "$PREVIOUS"
        return
    fi
    set -- -p "$PREVIOUS"
    [ "$head" = "$PREVIOUS" ] || set -- "$@" -p "$head"
    new=$(git commit-tree "$tree" "$@" -m "Snapshot $LABEL" </dev/null) || broken "the snapshot could not be written"
    git update-ref "refs/handrail/$LABEL" "$new" 2>/dev/null
    printf 'commit %s\n\n' "$new"
    { printf '%s\n^%s\n' "$new" "$PREVIOUS" && cat; } |
        git pack-objects --revs --stdout -q --thin --delta-base-offset || broken "the pack could not be written"
}

drop_strange_repositories() {
    find . -xdev -path ./.git -prune -o -name .git -print -prune 2>/dev/null | while IFS= read -r path; do
        path=${path#./}
        path=${path%/.git}
        if [ -z "$(git ls-files -- ":(literal)$path")" ] && ! ignored "$path"; then
            rm -rf "./$path/.git"
            rmdir -p "./$path" 2>/dev/null
        fi
    done
}

restore() {
    rm -f "$GIT_DIR/index.lock" "$GIT_DIR/HEAD.lock" "$GIT_DIR/refs/heads/$BRANCH.lock"
    chmod -R u+rwX . 2>/dev/null
    add_all_or_afresh >/dev/null 2>&1
    git read-tree --reset -u "$COMMIT" || broken "the files could not be written"
    drop_strange_repositories
    (
        cd "$GIT_DIR" && rm -rf rebase-merge rebase-apply sequencer MERGE_HEAD MERGE_MSG MERGE_MODE CHERRY_PICK_HEAD \
            REVERT_HEAD AUTO_MERGE
    )
    git update-ref "refs/heads/$BRANCH" "$HEAD_COMMIT" || broken "the branch could not be set"
    git symbolic-ref HEAD "refs/heads/$BRANCH" || broken "HEAD could not be set"
    cp "$GIT_INDEX_FILE" "$GIT_DIR/index" || broken "the index could not be written"
    GIT_INDEX_FILE=$GIT_DIR/index git read-tree --reset "$HEAD_COMMIT" || broken "the index could not be read"
}

# Files that are gone from the work tree count as left out where the commit $1 has them, else as never added.
absent() {
    commit=$1
    shift
    git ls-files -d -z -- "$@" | COMMIT=$commit xargs -0 -r sh -c '
        for path do
            if git cat-file -e "$COMMIT:$path" 2>/dev/null; then how=--skip-worktree; else how=--force-remove; fi
            git update-index "$how" -- "$path"
        done' sh
}

# The same for our index and the agent's.
leave_out() {
    [ -f "$GIT_INDEX_FILE" ] && absent "$BASE" "$@"
    if [ -f "$GIT_DIR/index" ] && [ ! -L "$GIT_DIR/index" ]; then
        (GIT_INDEX_FILE=$GIT_DIR/index && export GIT_INDEX_FILE && absent HEAD "$@")
    fi
}

cd "$GIT_WORK_TREE" || broken "the workspace is gone"
[ -d "$GIT_DIR" ] && [ ! -L "$GIT_DIR" ] || broken ".git is gone"
if [ -e "$GIT_INDEX_FILE.lock" ] || [ -L "$GIT_INDEX_FILE.lock" ]; then rm -f "$GIT_INDEX_FILE.lock"; fi
act=$1
shift
"$act" "$@"
