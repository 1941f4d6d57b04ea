# Debian's packages without installing them: a private apt over the mirrors, proxies and logins that the system's own apt
# is configured with. Sourced, not run. The caller has set `work`, a folder of its own, and has `die`.

# The address that apt is configured with for a suite, else Debian's own.
mirror_of() { # SUITE
    case $1 in
    *-security) suite_of=debian-security ;;
    *) suite_of=debian ;;
    esac
    # A suite that is not configured lies where another of Debian's does.
    apt-get indextargets --format "\$(RELEASE) \$(COMPONENT) \$(REPO_URI)" 'Created-By: Packages' 2>/dev/null |
        awk -v suite="$1" -v folder="/$suite_of/*$" -v uri="http://deb.debian.org/$suite_of" '
            $2 != "main" { next }
            $1 == suite { exact = $3; exit }
            $3 ~ folder { uri = $3 }
            END { print exact ? exact : uri }'
}

# The key of Debian's archive, to be trusted for these sources alone: sets `ring`.
debian_key() {
    ring=''
    for r in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
        [ ! -r "$r" ] || ring=$r
    done
    [ -z "$ring" ] || return 0
    (cd "$work" && apt-get download -qq debian-archive-keyring 2>&1 && dpkg-deb -x debian-archive-keyring_*.deb keys) \
        >"$work/log" || die "no key of Debian's archive: apt-get update && apt-get install debian-archive-keyring"
    ring=$work/keys/usr/share/keyrings/debian-archive-keyring.gpg
}

# From here on apt-get and apt-cache have sources, lists, archives and a (still empty) state in `work` alone.
private_apt() { # SUITES ARCH...: the first ARCH is the machine's
    suites=$1
    shift
    debian_key
    mkdir -p "$work/apt/lists/partial" "$work/archives/partial" "$work/apt/preferences.d" "$work/apt/apt.conf.d"
    for one in $suites; do
        echo "deb [signed-by=$ring] $(mirror_of "$one") $one main"
    done >"$work/apt/sources.list"
    {
        apt-config dump | grep -E '^Acquire::(https?|ftp|Check|Force|Retries|.*[Pp]roxy)' || true
        echo "Dir::Etc \"$work/apt\"; Dir::State \"$work/apt\"; Dir::State::status \"$work/apt/status\";"
        echo "Dir::Cache \"$work/apt\"; Dir::Cache::archives \"$work/archives\";"
        echo 'Dir::Etc::netrc "/etc/apt/auth.conf"; Dir::Etc::netrcparts "/etc/apt/auth.conf.d";'
        echo "APT::Architecture \"$1\"; APT::Architectures { $(printf '"%s"; ' "$@")}; APT::Sandbox::User \"root\";"
        echo 'APT::Install-Recommends "false"; Acquire::Languages "none"; Debug::NoLocking "true";'
    } >"$work/apt.conf"
    : >"$work/apt/status"
    export APT_CONFIG="$work/apt.conf"
    apt-get update -qq >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        die "no package list from $(cat "$work/apt/sources.list")"
    }
}
