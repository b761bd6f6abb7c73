# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Debian packages of another architecture or suite, fetched and not installed. Sourced, by bash scripts with `set -euo pipefail`; what goes
# wrong is one sentence on standard error and status 1. apt itself checks the index's signature, and each package's size and
# SHA-256 against it.
#
#   debian_open ROOT SUITE DEB [MIRROR]   an apt with a state of its own in the folder ROOT (absolute, made anew) for the architecture
#                                         DEB, as Debian calls it; MIRROR: default is that of this machine's apt sources
#   debian_kernel ROOT DEB                prints the package that linux-image-DEB stands for now
#   debian_get ROOT PACKAGE OUT           the contents of a package as the tar file OUT
debian_fail() {
    echo "$*" >&2
    return 1
}

debian_open() {
    local root=$1 suite=$2 deb=$3 mirror=${4:-}
    command -v apt-get >/dev/null || debian_fail "apt-get is missing: Debian's packages need it" || return
    # shellcheck disable=SC2016  # apt's own
    [ -n "$mirror" ] ||
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/*$') ||
        debian_fail "apt's sources name no Debian mirror" || return
    rm -rf "$root"
    mkdir -p "$root"/{lists/partial,archives/partial,deb}
    : >"$root/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$root/sources.list"
    cat >"$root/apt.conf" <<X
Dir::State "$root"; Dir::State::status "$root/status"; Dir::State::lists "$root/lists"; Dir::Cache "$root";
Dir::Etc::sourcelist "$root/sources.list"; Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::parts "/dev/null"; APT::Architecture "$deb"; APT::Architectures { "$deb"; };
APT::Sandbox::User "$(id -un)"; Acquire::Languages "none"; Acquire::Retries "3";
X
    APT_CONFIG=$root/apt.conf apt-get -qq update || debian_fail "apt-get update ($suite, $deb) from $mirror failed"
}

debian_kernel() {
    local package
    package=$(APT_CONFIG=$1/apt.conf apt-cache depends "linux-image-$2" |
        sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | head -1)
    [ -n "$package" ] || debian_fail "there is no linux-image-$2" || return
    echo "$package"
}

debian_get() {
    local root=$1 package=$2 out=$3
    rm -f "$root"/deb/*
    (cd "$root/deb" && APT_CONFIG=$root/apt.conf apt-get -qq download "$package") ||
        debian_fail "download of $package failed" || return
    dpkg-deb --fsys-tarfile "$root"/deb/*.deb >"$out"
}
