#!/bin/sh
# Installs what a test needs by the system's package manager, and asks first where somebody sits at a terminal.
# install.sh WHAT PACKAGES [BREW-ARGUMENTS]
set -eu
what=$1 packages=$2 brewed=${3:-}

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1; then
    sudo=sudo
else
    echo "$what is missing, and installing it needs root: run this as root, or install it yourself." >&2
    exit 1
fi
if command -v apt-get >/dev/null 2>&1; then
    echo "$what is missing. It will be installed with: apt-get install $packages" >&2
    if [ -t 0 ] && [ "${YES:-}" != 1 ]; then
        printf 'Go on? [y/N] ' >&2
        read -r answer
        [ "$answer" = y ] || exit 1
    fi
    $sudo apt-get update >&2
    # shellcheck disable=SC2086 # these are words
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages >&2
elif [ -n "$brewed" ] && command -v brew >/dev/null 2>&1; then
    echo "$what is missing. It will be installed with: brew install $brewed" >&2
    # shellcheck disable=SC2086 # these are words
    brew install $brewed >&2
else
    echo "$what is missing: install it with this system's package manager." >&2
    exit 1
fi
