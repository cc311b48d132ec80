#!/bin/sh
# Installs what the tests need beyond Python: a PostgreSQL server and Chromium. Where packages
# cannot be installed it says what is missing; the tests that need it then say so too.
# `has-postgresql` installs nothing and prints on or off.
set -u

has_postgresql() {
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1
}
if [ "${1:-}" = has-postgresql ]; then
    has_postgresql && echo on || echo off
    exit 0
fi

missing=""
has_postgresql || missing="$missing postgresql"
command -v chromium >/dev/null 2>&1 || [ -n "${LONTRA_CHROMIUM:-}" ] || missing="$missing chromium"
command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
[ -z "$missing" ] && exit 0

echo "system packages missing:$missing"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "cannot install them here (needs root and apt-get): the tests that need them are skipped"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# The cluster that Debian's package would start is not wanted: tests start servers of their own.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    echo "could not install:$missing; the tests that need them are skipped"
exit 0
