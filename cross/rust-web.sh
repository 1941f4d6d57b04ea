#!/bin/sh
# Debian's own Rust (rustc-web, cargo-web) unpacked into a folder, for machines that reach a Debian mirror but not
# rustup's server. Nothing is installed: the system's packages and its apt sources stay as they are, and `rm -r` of
# the folder undoes it all.
#
#   cross/rust-web.sh VERSION PREFIX [ARCH...]
#
# VERSION  the oldest Rust that will do, such as 1.95
# PREFIX   where it goes; the programs are then in PREFIX/usr/bin. What was there before is replaced.
# ARCH     whose standard library comes along, for programs that are to run there: Debian's name, such as arm64
set -eu

die() {
    printf 'rust-web: %s\n' "$*" >&2
    exit 1
}

[ $# -ge 2 ] || die 'usage: cross/rust-web.sh VERSION PREFIX [ARCH...]'
want=$1 prefix=$2
shift 2 # what is left are the others' standard libraries
for tool in apt-get apt-config dpkg-deb dpkg-query; do
    command -v "$tool" >/dev/null 2>&1 || die "no $tool here: this way of getting Rust is for Debian and its kin"
done

arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# --- Where from ---

os() { sed -n "s/^$1=//p" /etc/os-release | tr -d '"'; }
# Ubuntu's suites are no Debian suites. Of Debian's, bookworm's Rust asks for the oldest C library.
case "$(os ID) $(os ID_LIKE)" in
*ubuntu*) suite=bookworm ;;
debian* | raspbian* | *\ debian*) suite=$(os VERSION_CODENAME) ;;
*) suite=bookworm ;;
esac
[ -n "$suite" ] || suite=sid

. "$(dirname "$0")/debian.sh"
suites=$suite
case $suite in
sid | forky) ;; # these have no security suite
*) suites="$suite $suite-security" ;;
esac
private_apt "$suites" "$arch" "$@"

# Every library that Rust loads comes along, so the folder stands on its own. The C library and the compiler, which
# no folder can bring, are this machine's: apt is told that they are installed.
installed() { # NAME VERSION PROVIDES
    printf 'Package: %s\nVersion: %s\nProvides: %s\nArchitecture: %s\n' "$1" "$2" "$3" "$arch"
    printf 'Status: install ok installed\nMulti-Arch: same\nMaintainer: none\nDescription: already here\n\n'
}
{
    installed libc6 "$(dpkg-query -W -f '${Version}' libc6)" libc6-of-this-machine
    installed libc6-dev 99:1 libc-dev
    installed gcc 99:1 c-compiler
    installed binutils 99:1 binutils-of-this-machine
    installed debconf 99:1 debconf-2.0
} >>"$work/apt/status"

# --- Fetch, unpack, try ---

candidate() { apt-cache policy "$1" | sed -n 's/^ *Candidate: //p'; }
new_enough() { dpkg --compare-versions "$(candidate "$1")" ge "$want" 2>/dev/null; }
if new_enough rustc-web && new_enough cargo-web; then
    packages='rustc-web cargo-web rustfmt-web rust-web-clippy' library=libstd-rust-web-dev
elif new_enough rustc && new_enough cargo; then
    packages='rustc cargo rustfmt rust-clippy' library=libstd-rust-dev
else
    die "$suite has Rust '$(candidate rustc-web)' and '$(candidate rustc)', wanted is $want or later"
fi
# patchelf makes the programs find their libraries beside them; LD_LIBRARY_PATH would reach the compilers that cargo
# starts, too.
# shellcheck disable=SC2086
apt-get install -y -qq --download-only $packages patchelf >"$work/log" 2>&1 || { cat "$work/log" >&2; die 'no packages'; }
# Another architecture's library is data here, so it comes without what it would need there.
for other in "$@"; do
    (cd "$work/archives" && apt-get download -qq "$library:$other") >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        die "$suite has no $library for $other"
    }
done

mkdir -p "$(dirname "$prefix")"
new=$prefix.new
rm -rf "$new"
mkdir "$new"
for deb in "$work"/archives/*.deb; do
    dpkg-deb -x "$deb" "$new"
done
libraries=$(cd "$new/usr/lib" && ls -d -- *-linux-gnu*)
patch() { LD_LIBRARY_PATH="$new/usr/lib/$libraries:$new/lib/$libraries" "$new/usr/bin/patchelf" "$@"; }
for program in rustc rustdoc cargo rustfmt cargo-fmt cargo-clippy clippy-driver; do
    patch --force-rpath --set-rpath "\$ORIGIN/../lib/$libraries:\$ORIGIN/../../lib/$libraries" "$new/usr/bin/$program"
done
# A library with a path of its own (LLVM's) would not look where the program says.
for library in "$new/usr/lib/$libraries"/*.so*; do
    if [ ! -L "$library" ] && [ -n "$(patch --print-rpath "$library" 2>/dev/null)" ]; then
        patch --remove-rpath "$library"
    fi
done
rm -rf "$new/usr/share/doc" "$new/usr/share/man"

printf 'fn main() {\n    println!("works");\n}\n' >"$work/works.rs"
try_it() {
    "$new/usr/bin/rustc" -o "$work/works" "$work/works.rs" && "$work/works" && "$new/usr/bin/cargo" -V
}
try_it >"$work/log" 2>&1 || { cat "$work/log" >&2; die 'what was unpacked does not run on this machine'; }
rm -rf "$prefix"
mv "$new" "$prefix"
