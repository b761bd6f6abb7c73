#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Acceptance of coverage: what runs write, and what `conf coverage` says of it. usage: coverage.sh CONF
set -u
# shellcheck source=conformance/acceptance/lib.sh
. "$(dirname "$0")/lib.sh"

cat >a.yaml <<'YAML'
version: 1
defaults: {guests: [riscv64]}
scenarios:
- name: adds
  code: {riscv64: "addi a0, zero, 3 ; add a0, a0, a0"}
  fake: [done]
  run: done
- name: traps
  code: {riscv64: "nop ; csrr t0, sscratch"}
  fake: [done]
  run: done
- name: dies
  backends: [fake]
  fake: [halt]
  code: {riscv64: nop}
  run: halt
- {name: needs what fake lacks, needs: [executes], code: {riscv64: nop}, run: done}
YAML

expect 0 '3 passed' "$conf" run -b fake -b sim-interp --coverage one.json a.yaml::adds a.yaml::dies
expect 0 'exit reasons' "$conf" coverage one.json
expect 0 'sim-interp' "$conf" coverage one.json
# the scenario, on the backend that reached it
expect 0 'a.yaml::adds' "$conf" coverage why 'decode:riscv64 add' one.json
grep -q 'sim-interp riscv64' out || fail 'why does not name the backend'
expect 0 'not on sim-interp' "$conf" coverage why exit:halt one.json
expect 4 'did you mean `halt`' "$conf" coverage why hlat one.json
expect 0 'CSRs and accesses / riscv64 supervisor' "$conf" coverage gaps one.json
grep -q 'riscv64 sscratch read' out && fail 'gaps shows more than the first ones'
expect 0 'riscv64 sscratch read' "$conf" coverage gaps -v --kind csr one.json

# a second run, and the merge of both: the same file in either order, and no double counting
expect 0 '4 passed' "$conf" run -b fake -b sim-interp --coverage two.json a.yaml -k 'adds or traps'
expect 0 'exit reasons' "$conf" coverage -o ab.json one.json two.json
expect 0 'exit reasons' "$conf" coverage -o ba.json two.json one.json one.json
cmp -s ab.json ba.json || fail 'the order of files shows in the merged one'
expect 0 'exit reasons' "$conf" coverage -o again.json ab.json one.json
cmp -s ab.json again.json || fail 'a run was counted twice'
expect 0 'sscratch read' "$conf" coverage why sscratch\ read ab.json
expect 3 'are there already' "$conf" coverage two.json ab.json

# jobs do not change what was reached
expect 0 '4 passed' "$conf" run -b fake -b sim-interp -j4 --coverage j4.json a.yaml -k 'adds or traps'
sed '/^"runs"/,/\]/d' two.json >two.plain
sed '/^"runs"/,/\]/d' j4.json >j4.plain
cmp -s two.plain j4.plain || fail '-j shows in the coverage'

# a scenario that was skipped reaches nothing, and a capability that is not there is left out with its reason
expect 0 '1 skipped' "$conf" run -b fake --coverage skipped.json a.yaml -k lacks
expect 0 'not on fake: ' "$conf" coverage why capability:executes skipped.json

expect 0 '    executes: ' "$conf" coverage excluded --kind capability skipped.json
grep -q '^capabilities, fake$' out || fail 'excluded does not name the backend'
expect 0 '0 excluded' "$conf" coverage excluded --kind decode skipped.json

# long lists are cut, and -v shows them whole
cat >many.yaml <<'YAML'
version: 1
scenarios:
- {name: one of many, guests: [riscv64], each: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}, code: {riscv64: "li a0, ${n}"}, fake: [done], run: done}
YAML
expect 0 '24 passed' "$conf" run -b fake -b sim-interp --coverage many.json many.yaml
expect 0 '      and 2 more (-v names them)' "$conf" coverage why exit:mmio_write many.json
grep -q 'sim-interp riscv64' out || fail 'the second backend is not shown'
expect 0 '    many.yaml::one of many[n=9]' "$conf" coverage why -v -b fake exit:mmio_write many.json
grep -q 'more (-v\|sim-interp' out && fail 'why -v -b fake is cut, or shows another backend'
expect 0 'more of that name (-v shows them)' "$conf" coverage why ok many.json
expect 0 'vm_unmap ok' "$conf" coverage why -v ok many.json

# a rule that says too much is told
sed 's/^"rules": \[/&\n["exit","mmio_write","fake","*","never"],/' many.json >wrong.json
expect 1 'reached, though a rule says that it cannot be:' "$conf" coverage wrong.json
grep -q 'mmio_write.*never' out || fail 'the rule is not named'

# workers that crash, hang and talk nonsense lose what was theirs alone
cp "$here/bad.yaml" .
"$conf" run -b fake --timeout 1 --coverage bad.json bad.yaml >out 2>&1
expect 0 'operation vm_open ok' "$conf" coverage why operation:vm_open\ ok bad.json

# limits
expect 1 'decode@sim-interp:' "$conf" coverage --fail-under decode@sim-interp=99 ab.json
expect 0 'exit reasons' "$conf" coverage --fail-under exit@fake=0.5 ab.json
expect 1 'are of what these files do not have' "$conf" coverage --fail-under exit@kvn=1 ab.json
expect 2 'is not KIND=PERCENT' "$conf" coverage --fail-under exit ab.json
expect 0 'floor.json: ' "$conf" coverage --floor floor.json --update-floor ab.json
expect 0 '0 raised' "$conf" coverage --floor floor.json --update-floor ab.json
expect 1 'csr@sim-interp: ' "$conf" coverage --floor floor.json one.json
expect 0 '0 raised' "$conf" coverage --floor floor.json ab.json

# files for CI
expect 0 'exit reasons' "$conf" coverage --lcov lcov.info --cobertura cobertura.xml ab.json
grep -q '^SF:conf/decode/riscv64 I$' lcov.info || fail 'lcov has no instructions'
grep -q '<package name="conf/lifecycle"' cobertura.xml || fail 'Cobertura has no lifecycles'
if command -v xmllint >/dev/null; then
    xmllint --noout --nonet cobertura.xml || fail 'Cobertura is not XML'
fi
expect 0 '"schema_version": 1' "$conf" coverage --json ab.json

# what goes wrong
expect 2 'no file' "$conf" coverage
expect 2 'why: what?' "$conf" coverage why
expect 3 'none.json' "$conf" coverage none.json
head -c 200 one.json >cut.json
expect 3 'cut.json:' "$conf" coverage cut.json
expect 70 '/nowhere/x' "$conf" coverage -o /nowhere/x one.json
expect 70 '--coverage: ' "$conf" run -b fake --coverage /nowhere/x a.yaml::adds
finish 'all passed'
