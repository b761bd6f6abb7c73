#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# header.sh CC INCLUDE-FOLDER: conf-backend.h alone is a translation unit without a warning, as C and (where there is a
# compiler for it) as C++, in each standard that it promises.
set -eu
cc=$1 include=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#include <conf-backend.h>\n' >"$work/unit.c"
cp "$work/unit.c" "$work/unit.cpp"
flags="-Wall -Wextra -Wshadow -Wconversion -pedantic -Werror -fsyntax-only -I$include"
for std in c11 c17; do
    "$cc" -std=$std $flags "$work/unit.c"
    echo "ok: $std"
done
for cxx in c++ g++ clang++; do
    if command -v $cxx >/dev/null; then
        for std in c++17 c++20; do
            $cxx -std=$std $flags "$work/unit.cpp"
            echo "ok: $cxx $std"
        done
        exit 0
    fi
done
echo "no C++ compiler here: C++ not tried"
