#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Acceptance of the smaller commands and of the rarer options: every format, every refusal. usage: commands.sh CONF CONF-AGENT
set -u
agent=$2
# shellcheck source=conformance/acceptance/lib.sh
. "$(dirname "$0")/lib.sh"
cp "$here"/good.yaml "$here"/bad.yaml .
export XDG_STATE_HOME="$work/state" CONF_HISTORY="$work/h.db"
unset GITHUB_ACTIONS GITLAB_CI

# list
cat >needs.yaml <<'YAML'
version: 1
scenarios:
- name: asks
  why: it needs much
  tags: [slow]
  guests: [riscv64]
  backends: [fake]
  needs: [save, {isa: d}]
  code: {riscv64: "fadd.d fa0, fa0, fa0"}
  fake: [done]
  run: done
- {name: other, guests: [riscv64, x86_64], code: {riscv64: nop, x86_64: nop}, fake: [done], run: done}
- {name: ticks, devices: [rtc], code: {x86_64: nop}, fake: [done], run: done}
YAML
expect 0 'needs.yaml:3  asks  riscv64 @slow  needs save' "$conf" list needs.yaml
has out 'isa:d'
has out 'other  riscv64 x86_64'
has out 'device rtc'
expect 0 '"why": "it needs much"' "$conf" list --format json needs.yaml
has out '"capability": "save"'
has out '"d"'
expect 0 'other' "$conf" list --guest x86_64 needs.yaml
! grep -q asks out || fail 'list: --guest does nothing'
expect 0 'asks' "$conf" list -k asks needs.yaml
expect 4 'nothing selected' "$conf" list --tag nonesuch needs.yaml
expect 2 'xml' "$conf" list --format xml needs.yaml
expect 2 'z80' "$conf" list --guest z80 needs.yaml

# the program itself, and what ends before anything runs
expect 2 'usage' "$conf"
expect 0 'usage: conf asm' "$conf" asm --help
printf '.data\n .long 1\n' >data.s
expect 1 'data.s: section .data has contents' "$conf" asm --guest x86_64 data.s
printf 'version: 1\nscenarios:\n- {name: wrong, code: {riscv64: "nop ; nonesuch"}, run: done}\n' >wrong.yaml
expect 3 'conf diff: wrong.yaml:3:39: unrecognized instruction mnemonic' "$conf" diff --a sim-interp --b sim-interp wrong.yaml
expect 4 'no scenario of these is for the chosen backends' "$conf" run --backend sim-interp needs.yaml::asks
cat >boot.yaml <<'YAML'
version: 1
assets: {k: {riscv64: {path: riscv64/none, get: ci/assets riscv64}}}
scenarios: [{name: boots, guests: [riscv64], boot: {kernel: $k}, run: system_down}]
YAML
expect 0 "needs the asset k, which is not here ($work/cache/conf/assets/riscv64/none); \`ci/assets riscv64\` fetches it" \
    "$conf" run --backend sim-interp boot.yaml
expect 0 "(/nohome/.cache/conf/assets/riscv64/none)" env -u XDG_CACHE_HOME HOME=/nohome "$conf" run --backend sim-interp boot.yaml
expect 0 "(/own/riscv64/none)" env CONF_ASSETS=/own "$conf" run --backend sim-interp boot.yaml
mkdir empty
expect 4 'nothing to check: no suite below empty' "$conf" lint empty
truncate -s 1G large.yaml
expect 3 'large.yaml' "$conf" lint large.yaml
rm large.yaml

# backends
expect 0 'best' "$conf" backends
expect 0 '"backend": "fake"' "$conf" backends -b fake --guest riscv64 --format json --verify
has out '"probe": "held"'
expect 0 '"available": true' "$conf" backends -b sim-interp --guest riscv64 --format json
expect 0 '"backend": "kvm"' "$conf" backends --format json
expect 0 '| capability |' "$conf" backends -b sim-interp --format markdown
has out 'not available'
expect 2 'takes no operand' "$conf" backends fake
expect 2 'z80' "$conf" backends --guest z80
expect 2 'table' "$conf" backends --format xml

# certify, on a kit of one area: what it takes, and what it refuses
expect 2 'needs one BACKEND' "$conf" certify
expect 2 'needs one BACKEND' "$conf" certify fake sim-interp
expect 2 'unknown backend' "$conf" certify -o kit-out nonesuch
for option in '-j 0' '--timeout never' '--seed x' '--guest z80'; do
    # shellcheck disable=SC2086 # words
    expect 2 'conf' "$conf" certify $option fake
done
expect 3 'name its folder with --kit' "$conf" certify --kit "$work" -o kit-out fake
expect 2 'good.yaml' "$conf" certify -o good.yaml/out fake
expect 5 'not available' "$conf" certify -o kit-out --kit "$here/../../scenarios" --guest aarch64 -j 1 --timeout 5 --seed 1 sim-interp

# diff
expect 2 '--a' "$conf" diff
expect 2 'did you mean `sim-interp`?' "$conf" diff --a sim-intrep --b sim-jit good.yaml:4
expect 2 'known: ' "$conf" diff --a qqqqqqqqqqqq --b sim-jit good.yaml:4
expect 2 'needs one SCENARIO' "$conf" diff --a sim-interp --b sim-jit needs.yaml::asks needs.yaml::other
expect 2 'no such file' "$conf" diff --a sim-interp --b sim-jit none.yaml
expect 4 'nonesuch' "$conf" diff --a sim-interp --b sim-jit needs.yaml::nonesuch
for option in '--insns x' '--window 0' '--timeout x' '--seed x' '-m x' '-g z80'; do
    # shellcheck disable=SC2086 # words
    expect 2 'conf diff: ' "$conf" diff --a sim-interp --b sim-jit $option needs.yaml::other
done
expect 0 'equal' "$conf" diff --a sim-interp:max_block_insns=1 --b sim-interp:cpu=rv64imafdc -g riscv64 --seed 7 --timeout 300 --window 16 needs.yaml::other
expect 2 'plugin:/nowhere.so' "$conf" diff --a plugin:/nowhere.so --b sim-jit needs.yaml::other
while read -r scenario; do
    expect 0 'the scenario itself: passed' "$conf" diff --a sim-interp --b sim-jit --guest riscv64 "$here/../../scenarios/$scenario"
done <<'LIST'
memory.yaml::a region unmapped is a hole, mapped again it keeps its contents
memory.yaml::the dirty log names what was written from outside
control.yaml::restore undoes everything
control.yaml::a breakpoint stops before its instruction
control.yaml::a kick ends a loop, and the vCPU can go on
interrupts.yaml::an interrupt wakes a halted vCPU
interrupts.yaml::injected while masked, delivered once on unmask
interrupts.yaml::a line that is held is held after a save
operations.yaml::protecting what is not mapped is refused
LIST
expect 4 "needs sysreg_exit" "$conf" diff --a sim-interp --b sim-jit --guest riscv64 "$here/../../scenarios/calls.yaml:17"
printf '\023\000\000\000\023\000\000\000\163\000\120\020' >nops.bin # nop, nop, wfi
expect 0 'equal' "$conf" diff --a sim-interp --b sim-jit --kernel nops.bin -m 1M --insns 100 --window 8
expect 3 'none.bin' "$conf" diff --a sim-interp --b sim-jit --kernel none.bin

# the agent, by hand
expect 0 'usage: conf-agent' "$agent" --help
expect 0 'conf-agent 0.' "$agent" --version
expect 2 'no option' "$agent" --hepl
expect 2 '--place needs a value' "$agent" --place
expect 1 'conf-agent: plugin:/nowhere.so' "$agent" --plugin /nowhere.so
expect 0 'ended' sh -c '"$0" </dev/null && echo ended' "$agent"
expect 1 'conf-agent: ' sh -c 'echo no frame at all | "$0"' "$agent"

# lint and new
expect 2 'no file named' "$conf" lint
expect 3 'no such file' "$conf" lint none.yaml
printf 'version: 1\nscenarios:\n- {name: x, code: {riscv64: "nonsense a0"}, fake: [done], run: done}\n' >asm.yaml
expect 3 'asm.yaml:3:' "$conf" lint asm.yaml
printf 'version: 1\nscenarios:\n- {name: x, backends: [hvf], guests: [x86_64], code: {x86_64: nop}, run: done}\n' >nowhere.yaml
expect 0 'runs nowhere here' "$conf" lint nowhere.yaml
expect 2 'one NAME is enough' "$conf" new a b
expect 2 'needs a NAME' "$conf" new
expect 2 'letters, digits' "$conf" new 'a$b'
expect 2 'z80' "$conf" new --guest z80 a
expect 2 'none/a.yaml' "$conf" new none/a
expect 0 'conf run' "$conf" new --guest riscv64 'a name.yaml'
! grep -q x86_64 'a name.yaml' || fail 'new: --guest does nothing'
expect 2 'no operand' "$conf" schema file

# run
expect 0 'passed' "$conf" run -b fake --shard 1/2 good.yaml
expect 0 'passed' "$conf" run -b fake --shard 2/2 good.yaml
for option in '--shard 3/2' '--shard x' '--shard 0/2' '--shard 1/2x' '-j 0' '--seed x' '--timeout x' '--memory-limit x' '--report nonesuch=x' '--report json' \
    '--color maybe' '--guest z80'; do
    # shellcheck disable=SC2086 # words
    expect 2 'conf' "$conf" run -b fake $option good.yaml
done
expect 5 'plugin' "$conf" run -b plugin:/nowhere.so --require plugin:/nowhere.so good.yaml
expect 0 '18 passed' "$conf" run -b fake --color always good.yaml
expect 0 '18 passed' "$conf" run -b fake --color never --no-isolation good.yaml
expect 0 '18 passed' "$conf" run -b fake --color auto good.yaml

# coverage: gcovr's reports, and the choice of rows
printf '{"files": [{"file": "a/b.c", "functions": [{"name": "f", "lineno": 1, "execution_count": 2}],\n "lines": [{"branches": [{"count": 0}, {"count": 1}], "count": 2, "line_number": 1}]}]}' >gcovr.json
"$conf" run -q -b fake --coverage one.json good.yaml >/dev/null
expect 0 '1/1' "$conf" coverage --gcovr tests=gcovr.json --kind c_line --groups one.json
has out '  a '
expect 0 '"kind": "c_branch"' "$conf" coverage --gcovr tests=gcovr.json --kind c_branch --json -b fake
expect 1 'c_branch/a: 50.00 %' "$conf" coverage --gcovr tests=gcovr.json --fail-under c_branch/a=60
expect 2 'is not NAME=FILE' "$conf" coverage --gcovr gcovr.json
expect 3 'none.json' "$conf" coverage --gcovr a=none.json
expect 3 'one.json' "$conf" coverage --gcovr a=one.json
expect 2 '--update-floor: which?' "$conf" coverage --update-floor one.json
echo '{"conf_coverage_floor": 9}' >floor.json
expect 3 'floor.json:1:' "$conf" coverage --floor floor.json one.json
expect 70 '/nowhere/floor.json' "$conf" coverage --floor /nowhere/floor.json --update-floor one.json
expect 70 '/nowhere/x' "$conf" coverage --cobertura /nowhere/x --lcov /nowhere/y one.json
expect 0 'exit' "$conf" coverage -v --groups -b fake one.json

# history: a regression, a flaky scenario, a step in time and in a measurement, of which each is named in text and as JSON
i=0
while [ $i -lt 40 ]; do
    status=passed slow=$((1000000 + i % 3 * 1000)) value=$((100 + i % 3))
    [ $((i % 7)) != 3 ] || status=failed
    [ $i -lt 20 ] || slow=$((slow * 3)) value=$((value * 2))
    {
        printf '{"results": ['
        printf '{"suite": "a.yaml", "scenario": "flaky", "guest": "x86_64", "backend": "fake", "status": "%s", "reason": "r", "duration_ns": 1000000},\n' $status
        printf '{"suite": "a.yaml", "scenario": "slow", "guest": "x86_64", "backend": "fake", "status": "passed", "exits": %d, "duration_ns": %d}],\n' $i "$slow"
        printf '"coverage": [{"kind": "exit", "backend": "fake", "items": ["halt"%s], "total": 4}],\n' "$([ $i -lt 20 ] || echo ', "done"')"
        printf '"bench": [{"name": "speed", "value": %d, "unit": "MIPS", "better": "more"}]}' "$value"
    } >run.json
    expect 0 'added' "$conf" history add run.json --branch main --host h --commit "c$((1000000 + i / 2))" --time "2026-01-01T00:$((i + 10))" --job j --ordinal $((i + 1))
    i=$((i + 1))
done
expect 0 'flaky' "$conf" history flaky
has out 'in run'
expect 0 'in run' "$conf" history flaky -v
expect 0 '"flickers"' "$conf" history flaky --json
has out '"evidence"'
expect 0 'slow' "$conf" history trends
expect 0 '"before_ns"' "$conf" history trends --json
expect 0 'better' "$conf" history bench
expect 0 '"steps"' "$conf" history bench speed --json
has out '"before"'
expect 0 'NAME' "$conf" history bench speed --last 40
expect 0 'not covered' "$conf" history when 'done' --kind exit
expect 0 '"is_covered": true' "$conf" history when 'done' --kind exit --backend fake --json
expect 0 'MIPS' "$conf" history show last -v
has out 'exit'
expect 0 '"better": "more"' "$conf" history show branch:main --json
expect 4 'branch:none' "$conf" history show branch:none
expect 4 'last~99' "$conf" history show last~99
expect 0 '"median_ns": 3' "$conf" history slowest 1 --json
expect 0 '"is_time": true' "$conf" history compare 1..20 21..40 --json
expect 0 'done' "$conf" history compare 1 40
has out '2/4'
for when in 30d 12h 2w 2026-01-01 '2026-01-01 00:00' 2026-01-01T00:00:00Z; do
    expect 0 '' "$conf" history list --since "$when"
done
expect 2 'before 1970' "$conf" history list --until 1960-01-01
expect 2 'conf history: ' "$conf" history list --last x
expect 2 'which question?' "$conf" history
expect 2 'unknown question `qqqqq`' "$conf" history qqqqq
expect 2 'expected 1 or more' "$conf" history add
expect 0 '40 runs would be deleted' "$conf" history prune --before 2026-02-01 --dry-run
expect 0 'c1000019' "$conf" history list --branch main --host h --last 2
expect 0 '' "$conf" history list --commit c1000001 --suite 'a*' --guest x86_64 --backend fake

finish "all passed"
