#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Acceptance of `conf run --history`, of `conf history` and of the reports that look back. usage: history.sh CONF
# With CONF_EMPTY_POSTGRES, the URL of an empty database, also that it answers there as in a file.
set -u
# shellcheck source=conformance/acceptance/lib.sh
. "$(dirname "$0")/lib.sh"
trap 'umount "$work/small" 2>/dev/null; rm -rf "$work"' EXIT
cp "$here"/good.yaml .
export XDG_STATE_HOME="$work/state"
unset CONF_HISTORY GITHUB_ACTIONS GITLAB_CI CONF_HISTORY_HOST
as_json() { # FILE SCRIPT
    command -v python3 >/dev/null || return 0
    python3 -c "import json, sys; d = json.load(open('$1')); $2" || { fail "$1: $2"; head -c 2000 "$1"; }
}

# a work tree, without git
mkdir -p .git/refs/heads
echo 'ref: refs/heads/main' >.git/HEAD
commit() {
    printf '%s123456789abcdef0123456789abcdef01234567\n' "$1" >.git/refs/heads/main
}
commit a

# the default place is made; nothing is added without being asked for
expect 0 '18 passed' "$conf" run -b fake good.yaml
[ ! -e state/conf/history.db ] || fail 'a history that nobody asked for'
expect 4 'there is no history yet' "$conf" history list
expect 0 "history: run 1 in $work/state/conf/history.db" "$conf" run -b fake good.yaml --history --report summary=first.md
! grep -q Since first.md || fail 'a first run is compared'
expect 0 'a123456789+' "$conf" history list
expect 0 'fake     conf ' "$conf" history show 1
expect 0 '"branch": "main"' "$conf" history list --history=state/conf/history.db --json

# a change is found, and named with its run and commit
export CONF_HISTORY="$work/h.db"
for i in 1 2 3 4 5 6; do
    commit $i
    "$conf" run -q -b fake good.yaml --history >/dev/null || fail "run $i"
done
sed 's/fake: \[done\]/fake: [halt]/' "$here"/good.yaml >good.yaml
for i in 7 8 9; do
    commit $i
    "$conf" run -q -b fake good.yaml --history --report github --report sarif=s.sarif --report summary=s.md >github 2>/dev/null
    [ $? = 1 ] || fail "run $i does not fail"
    [ $i != 7 ] || cp s.md seven.md
    [ $i != 7 ] || cp github github7
done
has seven.md '### Since run 6 of main, 6123456789+, '
has seven.md '**Became bad**'
has github7 '::error file=good.yaml,line='
has github7 'title=new failed%3A'
has s.md '0 became bad, 0 became good, 0 changed otherwise, 0 are new, 0 are gone, 18 are as they were.'
expect 0 'passed > failed' "$conf" history changes
grep -q '^ *7  7123456789+ ' out || { fail 'the change is not in run 7'; cat out; }
expect 0 'run 6 6123456789+ > run 7 7123456789+  passed > failed' "$conf" history when 'ends'
expect 1 'passed > failed' "$conf" history compare 6 7
expect 0 'failed > passed' "$conf" history compare 7 6
expect 0 'no result differs' "$conf" history compare 8 last
expect 1 '0/3' "$conf" history compare 4..6 7..9
expect 0 'the same run' "$conf" history compare 5 5
expect 3 'the ranges overlap' "$conf" history compare 1..4 3..6
expect 4 'has no such runs' "$conf" history changes --branch nonesuch
expect 4 'has no such runs' "$conf" history flaky --branch nonesuch
expect 2 'slowest' "$conf" history slowest many
expect 4 'not after the first' "$conf" history compare 6..4 7
expect 4 'no scenario `nonesuch`' "$conf" history when nonesuch
expect 0 'nothing is flaky in 9 runs' "$conf" history flaky
expect 0 'MEDIAN' "$conf" history slowest 3
expect 0 '' "$conf" history trends
expect 0 'no measurements' "$conf" history bench
expect 4 'no run `99`' "$conf" history show 99
expect 2 'did you mean `flaky`?' "$conf" history flakey
expect 2 'expected 2 arguments, got 1' "$conf" history compare 1
expect 2 'is no time' "$conf" history list --since yesterday
expect 2 'which runs?' "$conf" history prune
expect 0 'nothing damaged' "$conf" history check
for question in list show changes flaky 'slowest 3' trends bench 'when ends' 'compare 6 7' 'compare 1..3 7..9' check 'prune --keep 99'; do
    # shellcheck disable=SC2086 # words
    "$conf" history $question --json >q.json 2>&1
    as_json q.json 'assert d["schema_version"] == 1'
done
"$conf" history changes --json >q.json
as_json q.json 'assert d["changes"] and all(c["at"]["run"] == 7 and c["before"]["run"] == 6 for c in d["changes"])'

# SARIF 2.1.0: what its schema requires of what we write
as_json s.sarif '
assert d["version"] == "2.1.0" and len(d["runs"]) == 1
run = d["runs"][0]; rules = run["tool"]["driver"]["rules"]; assert run["tool"]["driver"]["name"] == "conf" and run["results"]
assert len({r["id"] for r in rules}) == len(rules) and run["invocations"][0]["executionSuccessful"] is True
for r in run["results"]:
    assert rules[r["ruleIndex"]]["id"] == r["ruleId"] and r["message"]["text"] and r["level"] in ("none", "note", "warning", "error")
    assert r["baselineState"] in ("new", "unchanged", "updated", "absent")
    place = r["locations"][0]["physicalLocation"]
    assert place["region"]["startLine"] >= 1 and place["artifactLocation"]["uri"] == "good.yaml" and r["partialFingerprints"]'

# reports are imported, once each; what is wrong has a place
"$conf" run -q -b fake good.yaml --report json=r.json >/dev/null
commit b
expect 0 'run 10 added: 18 results' "$conf" history add r.json
expect 0 'run 10 was there already' "$conf" history add r.json
expect 0 '"run": 10, "is_new": false}' "$conf" history add r.json --json
printf '{"bench": [{"name": "interp/alu", "value": 0.5, "unit": "s"}],\n "coverage": [{"kind": "exit", "items": ["halt"], "total": 4}]}' >more.json
expect 0 'run 11 added: 0 results' "$conf" history add more.json --branch topic --commit cafecafe --time 2026-01-02T03:04
expect 0 'interp/alu' "$conf" history bench
expect 0 '2026-01-02 03:04  cafecafe' "$conf" history list --branch topic
expect 0 'covered' "$conf" history when halt --kind exit
printf '{"coverage": [{"kind": "exit", "items": ["done", "mmio_read"], "total": 4}]}' >later.json
expect 0 'added' "$conf" history add later.json --branch topic --commit cafecaff --time 2026-01-02T03:05 --history cover.db
expect 0 'added' "$conf" history add more.json --branch topic --commit cafecafe --time 2026-01-02T03:04 --history cover.db
expect 0 '1/4  2/4  halt  done, mmio_read' "$conf" history compare cafecafe cafecaff --history cover.db
expect 0 'no longer covered' "$conf" history when halt --kind exit --history cover.db
"$conf" history compare cafecafe cafecaff --history cover.db --json >q.json
as_json q.json 'assert d["coverage"][0]["lost"] == ["halt"] and d["coverage"][0]["gained"] == ["done", "mmio_read"]'
# what was covered goes in with the run, and what came and went is named with its run
cp good.yaml bad.yaml
cp "$here"/good.yaml good.yaml
commit c
expect 0 'history: run 1 in' "$conf" run -b fake good.yaml --coverage one.cov --history=cov.db --report summary=one.md
commit d
expect 0 'history: run 2 in' "$conf" run -b fake good.yaml --coverage two.cov --history=cov.db --report summary=two.md
has two.md 'The coverage is as it was.'
commit e
expect 0 'history: run 3 in' "$conf" run -b fake -k 'not halt' good.yaml --history=cov.db --report summary=three.md
! grep -q overage three.md || fail 'coverage that was not collected is compared'
expect 0 'exit            fake' "$conf" history show 2 --history cov.db
cat >more.yaml <<'YAML'
version: 1
scenarios:
- {name: shuts down, code: {riscv64: nop}, guests: [riscv64], backends: [fake], fake: [shutdown], run: shutdown}
YAML
commit f
expect 0 'history: run 4 in' "$conf" run -b fake good.yaml more.yaml --coverage four.cov --history=cov.db
expect 0 'exit' "$conf" history changes --kind exit --history cov.db
grep -q '^ *4  f123456789+ *2  exit  *fake .* shutdown$' out || { fail 'the gained exit is not in run 4'; cat out; }
commit 0
expect 0 'history: run 5 in' "$conf" run -b fake good.yaml --coverage five.cov --history=cov.db --report summary=five.md
has five.md '| exit | 3 / 28 | 2 / 28 | shutdown |  |'
"$conf" history changes --kind exit --backend fake --history cov.db --json >q.json
as_json q.json 'assert [(c["at"]["run"], c["before"]["run"], c["lost"], c["gained"]) for c in d["coverage"]] == [(5, 4, ["shutdown"], []), (4, 2, [], ["shutdown"])]'
expect 0 'no longer covered' "$conf" history when shutdown --kind exit --history cov.db
# files of coverage make the same run, and come back as they went in
expect 0 'run 1 added: 0 results' "$conf" history add four.cov --history again.db
expect 0 'run 1 was there already' "$conf" history add four.cov --history again.db
expect 0 'run 2 added: 18 results' "$conf" history add r.json five.cov --history again.db
"$conf" history show 1 --history again.db --json >shown.json
expect 0 'run 3 added: 0 results' "$conf" history add shown.json --history again.db
expect 0 'no result differs' "$conf" history compare 1 3 --history again.db
! grep -q COVERAGE out || { fail 'what is shown is not what went in'; cat out; }
expect 0 'covered' "$conf" history when shutdown --kind exit --history again.db
expect 3 'coverage exit is given twice' "$conf" history add four.cov shown.json --history again.db
printf '{"conf_coverage": 1, "runs": 7}' >wrong.cov
expect 3 'wrong.cov:1:' "$conf" history add wrong.cov --history again.db
expect 0 'nothing damaged' "$conf" history check --history again.db
cp bad.yaml good.yaml
expect 4 'no run has coverage of the kind' "$conf" history when halt --kind nonesuch
printf '{"results": [\n  {"status": "fine"}]}' >wrong.json
expect 3 'wrong.json:2:' "$conf" history add wrong.json
expect 4 'nonesuch.json' "$conf" history add nonesuch.json
"$conf" history show last --json >shown.json
expect 0 'run 1 added: 18 results' "$conf" history add shown.json --history other.db
expect 0 '11 runs added' "$conf" history merge "$CONF_HISTORY" --history third.db
expect 0 '0 runs added' "$conf" history merge "$CONF_HISTORY" --history third.db
expect 0 '1 runs would be deleted' "$conf" history prune --keep 9 --dry-run
expect 0 '8 runs deleted' "$conf" history prune --keep 2
expect 0 'nothing damaged' "$conf" history check

# a history that cannot be used is said; the run and its reports are whole all the same
echo 'no database, whatever its name says, and long enough to be read as a header of one, which has a hundred bytes' >text.db
for where in text.db /dev/null /proc/nonesuch/h.db postgresql:///nonesuch?host=/nonesuch; do
    rm -f r.json
    expect 70 'conf: history: ' "$conf" run -b fake good.yaml:4 --history="$where" --report json=r.json
    as_json r.json 'assert d["summary"]["total"] == 2'
done
has text.db 'no database'
[ "$(wc -c <text.db)" = 110 ] || fail 'a file that is no database was changed'
expect 70 'the file is no SQLite database' "$conf" history list --history text.db

# writers at once
for i in 1 2 3 4 5; do
    "$conf" run -q -b fake good.yaml:4 --history=many.db >/dev/null 2>&1 &
done
wait
[ "$("$conf" history list --history many.db | wc -l)" = 6 ] || fail 'runs at once are lost'
expect 0 'nothing damaged' "$conf" history check --history many.db

# a disk that fills up
mkdir small
if mount -t tmpfs -o size=200k none small 2>/dev/null; then
    n=0
    while [ $n -lt 400 ] && "$conf" history add more.json r.json --history small/h.db --time "2026-01-01T00:$((n % 60))" >out 2>&1; do
        n=$((n + 1))
        echo " " >>more.json # another run
    done
    [ $n -lt 400 ] || fail 'the disk is not full'
    has out 'no room left'
    expect 0 'nothing damaged' "$conf" history check --history small/h.db
    [ "$("$conf" history list --history small/h.db | wc -l)" = $((n + 1)) ] || fail 'a run is lost on a full disk'
    mount -o remount,ro small
    expect 0 '2026-01-01' "$conf" history list --history small/h.db
    expect 70 'conf history: ' "$conf" history add more.json --history small/h.db
    umount small
else
    echo 'history.sh: a full disk is not tried: mounting needs root'
fi

# PostgreSQL answers as SQLite does, and the pages are the same bytes
if [ -n "${CONF_EMPTY_POSTGRES:-}" ]; then
    pg=$CONF_EMPTY_POSTGRES
    export SOURCE_DATE_EPOCH=1764100000
    "$conf" run -q -b fake good.yaml more.yaml --coverage pg.cov --history="$pg" >/dev/null 2>&1 # the first run makes the tables
    expect 0 '1 runs added' "$conf" history merge "$pg" --history both.db
    n=$(($("$conf" history list --history cov.db | wc -l) - 1))
    for to in both.db "$pg"; do
        expect 0 "$n runs added" "$conf" history merge cov.db --history "$to"
        expect 0 '0 runs added' "$conf" history merge cov.db --history "$to"
        expect 0 'run 7 added' "$conf" history add more.json --time 2026-01-03 --host h --branch main --history "$to"
        expect 0 'nothing damaged' "$conf" history check --history "$to"
        expect 0 'written: ' "$conf" dashboard --history "$to" -o "pages-${to%%:*}"
    done
    diff -r pages-both.db pages-postgresql >out || { fail 'other pages from PostgreSQL'; head out; }
    for question in list 'list --json' 'show 2' 'show 5 --json' changes 'changes -v --json' flaky 'slowest 5' trends bench 'when ends' \
        'when shutdown --kind exit' 'compare 2 5' 'prune --keep 1 --dry-run'; do
        # shellcheck disable=SC2086 # words
        "$conf" history $question --history both.db >sqlite.out 2>&1
        # shellcheck disable=SC2086
        "$conf" history $question --history "$pg" >postgres.out 2>&1
        cmp -s sqlite.out postgres.out || { fail "PostgreSQL: $question"; diff sqlite.out postgres.out; }
        [ -s sqlite.out ] || fail "$question says nothing"
    done
fi

finish 'conf history: all as expected'
