#!/bin/sh
# Makes sure that PostgreSQL's server programs are on this machine, and prints their folder.
# Looks where the tests and the demo look; installs them only if there are none, and says so first.
set -eu

say() { printf '%s\n' "$*" >&2; }

complete() { [ -x "$1/initdb" ] && [ -x "$1/postgres" ]; }

# The first folder that has the server's programs.
find_programs() {
    if [ -n "${PG_BIN:-}" ] && complete "$PG_BIN"; then
        printf '%s\n' "$PG_BIN"
        return
    fi
    old_ifs=$IFS
    IFS=:
    for folder in $PATH; do
        if complete "$folder"; then
            IFS=$old_ifs
            printf '%s\n' "$folder"
            return
        fi
    done
    IFS=$old_ifs
    for folder in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
        if complete "$folder"; then
            printf '%s\n' "$folder"
            return
        fi
    done
    return 1
}

# Asks where somebody can answer. Elsewhere the command itself was the answer.
agree() {
    say "$1"
    if [ "${YES:-}" = 1 ] || [ ! -t 0 ]; then
        return 0
    fi
    printf 'Go on? [y/N] ' >&2
    read -r answer
    case $answer in
        y | Y | yes) return 0 ;;
        *) return 1 ;;
    esac
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        say "This needs root: run as root: $*"
        return 1
    fi
}

install_with_apt() {
    agree "PostgreSQL's server programs are missing. They will be installed with: apt-get install postgresql" || return 1
    # Debian's package would start a server of its own at boot, which nobody asked for.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        as_root sh -c 'echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf'
    fi
    as_root apt-get update >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql >&2
}

install_with_homebrew() {
    agree "PostgreSQL's server programs are missing. They will be installed with: brew install postgresql@17" || return 1
    brew install postgresql@17 >&2
}

if ! find_programs; then
    if command -v apt-get >/dev/null 2>&1; then
        install_with_apt
    elif command -v brew >/dev/null 2>&1; then
        install_with_homebrew
    else
        say "PostgreSQL's server programs (initdb, postgres) are missing, and neither apt-get nor brew is here to"
        say "install them. Install the PostgreSQL server, or set PG_BIN to the folder of its programs."
        exit 1
    fi || exit 1
    find_programs || { say "PostgreSQL was installed, but its programs are not where they should be."; exit 1; }
fi
