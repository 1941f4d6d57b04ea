# What the scripts here and `x` share; sourced, not run. The caller has set `self`, its name for people, `root`, the
# folder of the project, and `logs`, a folder for logs.

bold='' red='' plain=''
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$(printf '\033[1m') red=$(printf '\033[31m') plain=$(printf '\033[0m')
fi
say() { printf '%s\n' "${bold}$self:${plain} $*" >&2; }
die() {
    printf '%s\n' "${bold}$self:${plain} ${red}$*${plain}" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

quietly() { # LOG COMMAND...: the command's words are shown only when it fails
    log=$logs/$1
    shift
    "$@" >"$log" 2>&1 </dev/null || {
        cat "$log" >&2
        return 1
    }
}

# Asks apt what there is, for what is missing; who cannot become root is told what to ask for.
apt_update() { # REASONS PACKAGE...
    reasons=$1
    shift
    have apt-get || die "this machine lacks $reasons, and has no apt to install it with: install it and run this again"
    if [ "$(id -u)" -ne 0 ] && ! have sudo; then
        die "this machine lacks $reasons. Ask its administrator for: apt-get install $*"
    fi
    say "installing $reasons"
    quietly apt-update.log as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update -q ||
        die 'apt-get update failed: see the lines above'
}

apt_install() { # PACKAGE...
    say "apt-get install $*"
    quietly apt-install.log as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
        install -y -q --no-install-recommends "$@" || die 'apt-get install failed: see the lines above'
}

# --- Rust's versions ---

wanted_rust=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml")
rust_home=${XDG_DATA_HOME:-$HOME/.local/share}/limen/rust-web

version() { "$@" -V 2>/dev/null | sed -n '1s/^[a-z]* \([0-9.]*\).*/\1/p'; }
new_enough() { # VERSION
    [ -n "$1" ] && printf '%s %s\n' "$1" "$wanted_rust" | awk '{ split($1, a, "."); split($2, b, ".")
        exit !(a[1] + 0 > b[1] + 0 || (a[1] == b[1] && a[2] + 0 >= b[2] + 0)) }'
}
toolchain_works() { new_enough "$(version cargo)" && new_enough "$(version rustc)"; }
took() { say "Rust $(version rustc): $1"; }
