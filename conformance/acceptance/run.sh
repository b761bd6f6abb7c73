#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Acceptance of `conf run` on the backend fake: isolation, order, exit statuses, reports. usage: run.sh CONF [CONF-AGENT]
set -u
# shellcheck source=conformance/acceptance/lib.sh
. "$(dirname "$0")/lib.sh"
cp "$here"/*.yaml .
# the report without durations
plain() {
    sed -E 's/"duration_ns": [0-9]+/"duration_ns": 0/' "$1"
}

# usage and selection
expect 0 'conf 0.' "$conf" --version
expect 0 'usage: conf COMMAND' "$conf" --help
expect 2 'did you mean `run`?' "$conf" rnu
expect 2 'did you mean `--version`?' "$conf" --versoin
expect 0 'usage: conf asm' "$conf" help asm
for c in run list lint new asm disasm backends certify schema diff history sim repl coverage dashboard; do
    expect 2 'did you mean --help?' "$conf" $c --hepl
    expect 0 "usage: conf $c" "$conf" $c --help
    [ "$(awk 'length > 80' out | wc -l)" = 0 ] || fail "$c --help is wider than 80 columns"
done
for c in --help 'list good.yaml' 'run -b fake good.yaml' schema; do
    # shellcheck disable=SC2086 # words
    expect 70 'standard output could not be written' sh -c "\"\$0\" $c >/dev/full" "$conf"
done
expect 0 'usage: conf COMMAND' sh -c '"$0" schema 2>err | head -n 1 >/dev/null; cat err; "$0" help' "$conf"
[ ! -s err ] || fail 'a closed pipe is called an error'
expect 2 'did you mean --backend?' "$conf" run --bakend fake good.yaml
expect 2 'did you mean `fake`?' "$conf" run -b fkae good.yaml
expect 2 'no such file' "$conf" run none.yaml
mkdir invalid
printf 'version: 1\nscenarios:\n- nmae: x\n' >invalid/broken.yaml
expect 3 'error: invalid/broken.yaml:3:3' "$conf" run good.yaml invalid
rm -r invalid
expect 4 'did you mean `ends`?' "$conf" run good.yaml::edns
expect 4 'nothing selected' "$conf" run -k nonesuch good.yaml
expect 5 'required backend `nonesuch`' "$conf" run --require nonesuch good.yaml
expect 0 '18 passed, 0 failed' "$conf" run -b fake good.yaml
expect 0 '18 passed, 0 failed' sh -c '"$0" run -b fake - <good.yaml' "$conf"
expect 0 'fine' sh -c '"$0" lint - <good.yaml && echo fine' "$conf"
expect 3 'no scenario' sh -c '"$0" run good.yaml:1; exit 3' "$conf"
printf 'version: 1\nscenarios:\n- {name: "\\e[31mred", code: {x86_64: nop}, fake: [done], run: "\\e[2J"}\n' >hostile.yaml
for c in lint list run; do
    expect 3 '[2J' "$conf" $c hostile.yaml
    ! grep -q "$(printf '\033')" out || fail "$c: an escape of a suite reaches the terminal"
done
rm hostile.yaml
expect 0 '2 passed' "$conf" run -b fake good.yaml:4
expect 0 '2 passed' "$conf" run -b fake --tag quick .
expect 0 '1 passed' "$conf" run -b fake --guest x86_64 'good.yaml::stores[n=3]'
expect 0 '2 passed' "$conf" run -b fake -k 'n=3 and not ends' 'goo*.yaml'
expect 0 'stores[n=1]' "$conf" list good.yaml

# isolation: each misbehaviour is one error, everything else is whole
bad() {
    "$conf" run -b "${backend:-fake}" --timeout 5 --memory-limit 48M bad.yaml "$@"
}
expect 1 '6 passed, 2 failed, 10 errors, 0 skipped' bad -j 2
grep -qF 'backend died: signal 11 (SIGSEGV)' out || fail 'the signal is not named'
grep -qF "reproduce: conf run bad.yaml::crashes --backend fake --guest riscv64 --seed" out || fail 'no command to reproduce'
expect 1 'exit status 3' bad -k exits
# a sanitizer has its own view of memory that cannot be had
[ -n "${CONF_SANITIZED:-}" ] || expect 1 'alloc: refused' bad -k memory
expect 1 'the worker did not end and was killed' bad -k hangs

# order: the same for any -j, and each time
bad -j 8 --report json=j8.json --report junit=j8.xml --report tap=j8.tap -q >/dev/null 2>&1
if [ -z "${CONF_SANITIZED:-}" ]; then
    bad -j 1 --report json=j1.json -q >/dev/null 2>&1
    cp j8.json same.json
else # whether its limit or the clock ends what takes all memory is a matter of speed there
    for j in 1 8; do bad -j $j -k 'not memory' --report json=j$j-whole.json -q >/dev/null 2>&1; done
    mv j1-whole.json j1.json
    mv j8-whole.json same.json
fi
[ "$(plain j1.json)" = "$(plain same.json)" ] || { fail '-j 1 and -j 8 differ'; diff j1.json same.json; }
"$conf" run -b fake good.yaml -q --report json=first.json >/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do
    "$conf" run -b fake good.yaml -q -j 4 --report json=again.json >/dev/null
    [ "$(plain first.json)" = "$(plain again.json)" ] || fail "run $i differs"
done
# what follows a resume meets the run that it began: the same exits each time
cat >life.yaml <<'YAML'
version: 1
scenarios:
- name: resumed
  lifecycle: virtualcpu
  code: {x86_64: "spin: jmp spin"}
  fake: [spin, spin]
  steps: [{op: init}, {op: execute}, {op: pause}, {op: resume}, {op: halt}, {op: destroy}]
  expect: {transitions: [Created, Ready, Running, Paused, Running, Halted, Destroyed]}
YAML
for i in 1 2 3 4 5 6 7 8 9 10; do
    "$conf" run -b fake life.yaml -q --report json=life.json >/dev/null
    grep -q '"exits": 2,' life.json || fail "a resumed vcpu, run $i: not 2 exits"
done
if command -v python3 >/dev/null; then
    python3 -m json.tool j8.json >/dev/null || fail 'the JSON report does not parse'
    python3 -c 'import sys, xml.etree.ElementTree as e; r = e.parse("j8.xml").getroot()
sys.exit(len(r.findall(".//testcase")) != 18 or len(r.findall(".//error")) != 10)' || fail 'the JUnit report is wrong'
fi
[ "$(grep -c '^not ok' j8.tap)" = 12 ] || fail 'the TAP report is wrong'
expect 1 'cut short by --fail-fast' bad -j 4 --fail-fast
expect 1 '1 passed, 0 failed, 0 errors' sh -c '"$0" run -b fake bad.yaml -j 4 --fail-fast; "$0" run -b fake good.yaml::ends --guest x86_64; exit 1' "$conf"

"$conf" run -q -b fake good.yaml --report json=/dev/stdout 2>/dev/null >out
grep -q '"passed": 18' out || fail 'a report cannot go to /dev/stdout'
mkfifo pipe
cat pipe >out &
"$conf" run -q -b fake good.yaml --report json=pipe >/dev/null
wait $!
grep -q '"passed": 18' out || fail 'a report cannot go to a pipe'
echo old >real.json
ln -s real.json link.json
"$conf" run -q -b fake good.yaml --report json=link.json >/dev/null
{ [ -L link.json ] && grep -q '"passed": 18' real.json; } || fail 'a report replaced a link'
[ ! -c /dev/full ] || expect 70 'No space left on device' "$conf" run -q -b fake good.yaml --report json=/dev/full
expect 70 'report junit: nowhere/x' "$conf" run -q -b fake good.yaml --report junit=nowhere/x
expect 0 'TAP version 14' "$conf" run -b fake good.yaml --report tap=-

# a signal: the partial report is written, nobody stays behind
for signal in INT:130 TERM:143; do
    rm -f part.json out
    touch out
    "$conf" run -b fake --timeout 60 -j 1 'bad.yaml::good before' bad.yaml::hangs -v --report json=part.json >out 2>&1 &
    pid=$!
    tries=0
    until [ "$(grep -c '^ok' out)" = 2 ] || [ $tries = 300 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    servers=$(pgrep -P $pid)
    kill -"${signal%:*}" $pid
    wait $pid
    got=$?
    [ $got = "${signal#*:}" ] || fail "after $signal: exit status $got"
    grep -q "\"cut_short\": \"SIG${signal%:*}\"" part.json || fail "after $signal: no partial report"
    grep -q '"passed": 2' part.json || fail "after $signal: the finished results are lost"
    for p in $servers; do
        ! kill -0 "$p" 2>/dev/null || fail "after $signal: process $p is left"
    done
done

# a first scenario passes at once
expect 0 'conf run my-first.yaml' "$conf" new my-first
expect 0 '3 passed' "$conf" run -b fake my-first.yaml
expect 0 'kvm: not for ' "$conf" run my-first.yaml
expect 2 'is there already' "$conf" new my-first
expect 0 'available' "$conf" backends -b fake --verify
expect 2 'unknown backend' "$conf" backends -b fkae

# --bless writes what was seen, and only where a list was wrong
printf 'version: 1\nscenarios:\n- name: one\n  code: {x86_64: nop}\n  fake: [hypercall nr=3, done]\n  run: [done] # old\n  # kept\n' >bless.yaml
printf -- '- name: two\n  code: {x86_64: nop}\n  fake: [done]\n  run: [done] # kept\n' >>bless.yaml
"$conf" run -b fake --bless bless.yaml >out 2>&1
grep -qF 'bless.yaml:3: `one` is blessed' out || { fail 'nothing was blessed'; cat out; }
expect 0 '2 passed' "$conf" run -b fake bless.yaml
grep -q 'hypercall: {nr: 3' bless.yaml || { fail 'the wrong list was written'; cat bless.yaml; }
[ "$(grep -c kept bless.yaml)" = 2 ] || { fail 'blessing changed too much'; cat bless.yaml; }
# what one list cannot say for all is printed, and the file stays as it is
cat >bless.yaml <<'YAML'
version: 1
scenarios:
- {name: rows differ, each: {n: [1, 2]}, code: {x86_64: nop}, fake: ["hypercall nr={$n}", done], run: [done]}
- {name: rows agree, each: {n: [1, 2]}, code: {x86_64: "mov eax, ${n}"}, fake: [hypercall nr=3, done], run: [done]}
- {name: two vcpus, vcpus: {a: {}, b: {}}, code: {x86_64: nop}, fake: {a: [hypercall nr=3, done], b: [done]}, steps: [run: {a: [done], b: [done]}]}
YAML
cp bless.yaml kept.yaml
"$conf" run -b fake --bless bless.yaml >out 2>&1
for why in 'rows differ` is not changed: guests or backends disagree' 'rows agree` is not changed: one list stands for several rows' \
    'two vcpus` is not changed: its story is not one `run:`' 'hypercall: {nr: 2'; do
    grep -qF "$why" out || { fail "--bless does not say: $why"; cat out; }
done
cmp -s bless.yaml kept.yaml || fail '--bless changed what it said it would not'
# a run that did not end by itself is no list, unless its end is an exit that a list can name
cat >bless.yaml <<'YAML'
version: 1
scenarios:
- {name: endless, code: {x86_64: nop}, fake: [hypercall nr=3, spin], run: [done], within: 50ms}
- {name: broken, code: {x86_64: nop}, fake: [hypercall nr=3, "error IO"], run: [done]}
- name: by insns
  code: {x86_64: nop}
  fake: [hypercall nr=3, spin]
  run: [done]
  insns: 9
YAML
cp bless.yaml kept.yaml
"$conf" run -b fake --bless bless.yaml >out 2>&1
for why in 'endless` is not changed: the run was still under way when its time was over' 'broken` is not changed: ' 'by insns` is blessed'; do
    grep -qF "$why" out || { fail "--bless does not say: $why"; cat out; }
done
[ "$(head -n 4 bless.yaml)" = "$(head -n 4 kept.yaml)" ] || { fail '--bless wrote half a list'; cat bless.yaml; }
expect 0 '1 passed' "$conf" run -b fake bless.yaml::'by insns'

# a probe decides whether an xfail holds
cat >probe.yaml <<'YAML'
version: 1
defaults: {guests: [x86_64]}
scenarios:
- {name: gap, role: probe, code: {x86_64: nop}, fake: [halt, done], run: done}
- {name: no gap, role: probe, code: {x86_64: nop}, fake: [done], run: done}
- {name: no answer, role: probe, code: {x86_64: nop}, fake: ["error IO"], run: done}
- {name: held, xfail: {probe: gap, reason: a gap}, code: {x86_64: nop}, fake: [halt, done], run: done}
- {name: too good, xfail: {probe: gap, reason: a gap}, code: {x86_64: nop}, fake: [done], run: done}
- {name: no excuse, xfail: {probe: no gap, reason: none}, code: {x86_64: nop}, fake: [halt, done], run: done}
- {name: fine, xfail: {probe: no gap, reason: none}, code: {x86_64: nop}, fake: [done], run: done}
- {name: not asked, xfail: {probe: no answer, reason: none}, code: {x86_64: nop}, fake: [done], run: done}
- {name: no excuse either, xfail: {probe: no answer, reason: none}, code: {x86_64: nop}, fake: [halt, done], run: done}
YAML
expect 1 '2 passed, 2 failed, 0 errors, 0 skipped, 1 xfailed (1 xpassed)' "$conf" run -b fake probe.yaml
expect 0 '1 xfailed' "$conf" run -b fake probe.yaml::held
expect 4 'probes' "$conf" run -b fake probe.yaml::gap

# a backend behind a command
if [ -n "${2:-}" ]; then
    expect 0 '18 passed' "$conf" run -b "remote:fake:$2" good.yaml
    expect 1 'its last words: conf-agent: no option `--plugn`; --help says' "$conf" run -b "remote:fake:$2 --plugn x" good.yaml
    expect 1 'its last words: conf-agent: --plugin needs a value' "$conf" run -b "remote:fake:$2 --plugin" good.yaml
    backend="remote:fake:$2" # its memory is not ours to limit
    expect 1 '6 passed, 2 failed, 8 errors' bad -k 'not memory'
    backend=fake
fi
expect 1 'exit status 3' "$conf" run -b 'remote:exit 3' my-first.yaml
expect 1 'remote command ended with exit status 0' "$conf" run -b 'remote:echo hello' my-first.yaml
expect 1 'remote command ended with exit status 3; its last words: no' "$conf" run -b 'remote:echo hello; echo no >&2; exit 3' my-first.yaml
expect 1 'conf: waiting for conf-agent behind `sleep 7`, which has said nothing yet; 180 s at most' "$conf" run -b 'remote:sleep 7' \
    "my-first.yaml:$(sed -n '/name: /{=;q;}' my-first.yaml)"
finish 'all passed'
