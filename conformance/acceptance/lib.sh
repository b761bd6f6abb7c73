# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# lib.sh: sourced by the acceptance scripts, whose first argument is the program. The work is done in a folder of its own, $work, which goes
# at the end; $here is where the script lies, $conf the program, $nbad counts what was not as expected.
# shellcheck disable=SC2034 # for those who source it
case $1 in
/*) conf=$1 ;;
*) conf=$PWD/$1 ;;
esac
# shellcheck disable=SC2034
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export XDG_CACHE_HOME="$work/cache" NO_COLOR=1
nbad=0

fail() {
    nbad=$((nbad + 1))
    echo "FAIL: $*"
}
# expect STATUS TEXT COMMAND..: the exit status, and a line of the output (stdout and stderr) that holds TEXT
expect() {
    want=$1 text=$2
    shift 2
    "$@" >out 2>&1
    got=$?
    [ $got = "$want" ] || { fail "$*: exit status $got, want $want"; cat out; }
    grep -qF -e "$text" out || { fail "$*: no \`$text\` in:"; cat out; }
}
# has FILE TEXT
has() {
    grep -qF -e "$2" "$1" || { fail "$1: no \`$2\` in:"; cat "$1"; }
}
# Says TEXT, or exits with what was not as expected.
finish() {
    [ $nbad = 0 ] || exit 1
    echo "$1"
}
