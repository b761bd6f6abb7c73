#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# template.sh CMAKE BUILD CC: a stranger's day. Installs conf, copies the template out of the tree, builds it against what was
# installed, runs its tests, and uses it by pkg-config, from C and from C++, and from an agent.
set -eu
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
cmake=$1 build=$2 cc=$3
work=$(mktemp -d)
command -v make >/dev/null || export CMAKE_GENERATOR=Ninja # the commands of its README mean make
trap 'rm -rf "$work"' EXIT
"$cmake" --install "$build" --prefix "$work/prefix" >/dev/null
cd "$work"
cp -r prefix/share/doc/conf/examples/backend-template mine
"$cmake" -S mine -B mine/build -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=Release >/dev/null
"$cmake" --build mine/build >build.log 2>&1 || { cat build.log; exit 1; }
! grep warning build.log
conf=prefix/bin/conf
# what the guide refers to was installed with it
for page in howto/add-a-backend.md howto/find-a-divergence.md backends/plugin.md backends/remote.md wire.md; do
    for link in $(grep -o '](\([^):#]*\)' "prefix/share/doc/conf/$page" | cut -c 3-); do
        [ -e "prefix/share/doc/conf/$(dirname $page)/$link" ] || { echo "$page: nothing at $link"; exit 1; }
    done
done
prefix/share/doc/conf/examples/wire-agent.py </dev/null
"$conf" run prefix/share/conf/scenarios/exits.yaml --backend plugin:mine/build/libtoy.so --timeout 60 --quiet | tee out.txt
grep -q ' 0 failed, 0 errors' out.txt
"$conf" run prefix/share/conf/scenarios/exits.yaml --timeout 60 --quiet \
    --backend "remote:toy:prefix/bin/conf-agent --place there --plugin mine/build/libtoy.so" | tee out.txt
grep -q ' 0 failed, 0 errors' out.txt

# an agent that is asked for another names those of its plugins too
"$conf" run prefix/share/conf/scenarios/exits.yaml --backend "remote:tyo:prefix/bin/conf-agent --plugin mine/build/libtoy.so" >out.txt 2>&1 &&
    exit 1
grep -q 'no backend "tyo" here, but kvm, .*, toy (of --plugin)' out.txt

# and no instruction differs from the simulator's
"$conf" diff --a sim-interp --b plugin:mine/build/libtoy.so --guest riscv64 \
    'prefix/share/conf/scenarios/exits.yaml::accesses come in program order' >diff.txt || { cat diff.txt; exit 1; }
grep '^equal: ' diff.txt

# every scenario: what the toy has not, by its capabilities and its isa, is skipped with that reason, and nothing fails
passed_by() {
    "$conf" run prefix/share/conf/scenarios/*.yaml --guest riscv64 --backend "plugin:$1" --timeout 60 --quiet >all.txt || [ "${2:-}" = fails ]
    sed -n 's/^\([0-9]*\) passed, .*/\1/p' all.txt
}
passed=$(passed_by mine/build/libtoy.so) || { tail -60 all.txt; exit 1; }
tail -1 all.txt
grep -q ' 0 failed, 0 errors' all.txt
grep -q 'needs .*: toy: isa rv64im' all.txt
[ "$passed" -gt 100 ]
# and without its isa the same run fails
mkdir silent
cp mine/src/* silent
sed -i 's/caps->isa = [^;]*;//' silent/backend.c
"$cc" -std=c11 -fPIC -shared -Iprefix/include -o silent.so silent/*.c
passed_by silent.so fails >silent.txt
tail -1 all.txt
! grep -q ' 0 failed, 0 errors' all.txt

# while the simulator has all that scenarios use
"$conf" run prefix/share/conf/scenarios/*.yaml --guest riscv64 --backend sim-interp --timeout 60 --quiet >sim.txt
! grep 'sim-interp: isa ' sim.txt

# by hand, with the flags of pkg-config
PKG_CONFIG_PATH=$(dirname "$(find prefix -name conf-backend.pc)")
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags conf-backend)
"$cc" -std=c11 -Wall -Wextra -pedantic -Werror $flags -fPIC -shared -o byhand.so mine/src/*.c
"$conf" backends --backend plugin:byhand.so --guest riscv64 --verify >out.txt
! grep CONTRADICTED out.txt
cat >unit.cpp <<'END'
#include <conf-backend.h>
namespace {
int open_it(const ConfBackend *b, ConfGuestId, ConfCaps *, ConfErr *err)
{
    return conf_err_set(err, CONF_ERR_UNAVAILABLE, "%s has no hands", b->name);
}
ConfVmOps vm_ops{};
ConfBackend table{};
} // namespace
extern "C" CONF_BACKEND_EXPORT const ConfBackend *conf_backend(std::uint32_t abi)
{
    vm_ops.size_bytes = sizeof vm_ops;
    vm_ops.create = [](const ConfBackend *, const ConfVmConfig *, ConfBeVm **, ConfErr *err) {
        return conf_err_set(err, CONF_ERR_UNAVAILABLE, "no VM");
    };
    table.abi = CONF_BACKEND_ABI;
    table.size_bytes = sizeof table;
    table.name = "plusplus";
    table.open = open_it;
    table.vm = &vm_ops;
    return abi == CONF_BACKEND_ABI ? &table : nullptr;
}
END
for cxx in c++ g++ clang++; do
    if command -v $cxx >/dev/null; then
        sed -i '1i #include <cstdint>' unit.cpp
        $cxx -std=c++17 -Wall -Wextra -pedantic -Werror $flags -fPIC -shared -o plusplus.so unit.cpp
        "$conf" backends --backend plugin:plusplus.so --guest riscv64 | grep 'plusplus has no hands'
        break
    fi
done
# its own tests last: they certify
"$cmake" -E chdir mine/build ctest --output-on-failure >ctest.log || { cat ctest.log; exit 1; }
tail -3 ctest.log
attestation=mine/build/attestation/attestation.json
lua5.4 "$root/ci/jsonschema.lua" prefix/share/conf/attestation.schema.json $attestation
grep -q '"verdict": "certified"' $attestation
grep -q 'certified riscv64' mine/build/attestation/badge.svg
