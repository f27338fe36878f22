#!/bin/sh
# Installs what OpenPeta needs at run time on Debian and Ubuntu: the MariaDB server, client
# and backup tool. With --tests also what the tests and benchmarks use, with --heavy-tests that and
# what tests use that are marked heavy.
#
# No MariaDB of the system is started: OpenPeta runs its own. One that already runs is left
# alone. With nothing to install the script returns at once and does not touch the network.
set -eu

usage() {
    echo "usage: $0 [--tests | --heavy-tests]" >&2
    exit 2
}

die() {
    echo "install-packages: $*" >&2
    exit 1
}

# Whether a command is there. Servers live in sbin, which is not on every user's PATH.
has() {
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1
}

# need COMMAND PACKAGE: remembers the package when the command is absent.
need() {
    has "$1" || packages="$packages $2"
}

with_tests=no
with_heavy_tests=no
for argument in "$@"; do
    case "$argument" in
        --tests) with_tests=yes ;;
        --heavy-tests) with_tests=yes with_heavy_tests=yes ;;
        *) usage ;;
    esac
done

packages=
had_server=yes
has mariadbd || had_server=no
had_prometheus=yes
has prometheus || had_prometheus=no
had_httpd=yes
has mini_httpd || had_httpd=no
need mariadbd mariadb-server
need mariadb-install-db mariadb-server
need mariadb mariadb-client
need mariadb-backup mariadb-backup
# setpriv and setsid: how a node is started.
need setpriv util-linux
if [ "$with_tests" = yes ]; then
    need haproxy haproxy
    need sysbench sysbench
    need wrk wrk
    # MariaDB's own tests.
    need mysqltest mariadb-test
    need python3 python3
    need node nodejs
    # A backup set is loaded by hand with these.
    need jq jq
    need zstd zstd
    need npm npm
    # The page of the API is tried in a browser; Ubuntu has none that runs without snap.
    if ! grep -qs '^ID=ubuntu' /etc/os-release; then
        need chromium chromium
        need chromedriver chromium-driver
    fi
    # Completion is tried in the shells themselves.
    need zsh zsh
    need fish fish
    need java default-jdk-headless
    # Scrapes the metrics, checks the rules.
    need prometheus prometheus
    need promtool prometheus
    # Client libraries are tried in a virtual environment and with Go's own tool chain.
    if has python3; then
        python3 -c 'import ensurepip' >/dev/null 2>&1 || packages="$packages python3-venv"
        python3 -m pip --version >/dev/null 2>&1 || packages="$packages python3-pip"
    else
        packages="$packages python3-venv python3-pip"
    fi
    if ! has go && ! [ -x /usr/local/go/bin/go ]; then
        packages="$packages golang-go"
    fi
    [ -d /usr/share/gocode/src/github.com/go-sql-driver/mysql ] ||
        packages="$packages golang-github-go-sql-driver-mysql-dev"
    # Tools and frameworks that are tried through the gateway.
    need mydumper mydumper
    need pt-table-checksum percona-toolkit
    need php php-cli
    [ -d /usr/share/doc/php-mysql ] || packages="$packages php-mysql"
    perl -MDBD::MariaDB -e 1 2>/dev/null || packages="$packages libdbd-mariadb-perl"
    [ -e /usr/share/java/mariadb-java-client.jar ] || packages="$packages libmariadb-java"
    [ -d /usr/share/gocode/src/github.com/jinzhu/gorm ] || packages="$packages golang-github-jinzhu-gorm-dev"
    [ -e /usr/share/java/hibernate3.jar ] || packages="$packages libhibernate3-java"
    [ -e /usr/share/java/javassist.jar ] || packages="$packages libjavassist-java"
    # It wants a web server, which no test uses: named first, these keep Apache away.
    [ -e /usr/share/wordpress/wp-load.php ] || packages="$packages php-cgi php mini-httpd wordpress"
fi
if [ "$with_heavy_tests" = yes ]; then
    [ -d /usr/share/phpmyadmin ] || packages="$packages phpmyadmin dbconfig-no-thanks"
fi

[ -n "$packages" ] || exit 0

has apt-get || die "needs$packages; this system has no apt-get, install them by hand"

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -- "$@"
    fi
}
if [ "$(id -u)" -ne 0 ] && ! has sudo; then
    die "needs$packages; run this as root or install sudo"
fi

# The policy file keeps package scripts from starting services while it is in place.
policy=/usr/sbin/policy-rc.d
saved=$policy.openpeta-saved
marker='# Put here by OpenPeta install-packages; safe to delete.'
restore_policy() {
    if [ -e "$saved" ]; then
        as_root mv -f "$saved" "$policy"
    elif grep -qsF "$marker" "$policy"; then
        as_root rm -f "$policy"
    fi
}
# A run before this one may have been killed: put back what it found.
restore_policy
trap restore_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ -e "$policy" ]; then
    as_root mv "$policy" "$saved"
fi
printf '#!/bin/sh\n%s\nexit 101\n' "$marker" | as_root tee "$policy" >/dev/null
as_root chmod 755 "$policy"

echo "install-packages: installing$packages"
as_root apt-get update -q ||
    die "apt-get update failed: is there a network, and are the package sources right?"
# The list is split into words on purpose.
# shellcheck disable=SC2086
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages ||
    die "apt-get could not install$packages; its message is above"

# Packages enable their services for the next boot; nodes and tests do not need them.
if has systemctl; then
    [ "$had_server" = yes ] ||
        as_root systemctl disable --quiet mariadb.service 2>/dev/null || true
    [ "$with_tests" = no ] || [ "$had_prometheus" = yes ] ||
        as_root systemctl disable --quiet prometheus.service 2>/dev/null || true
    [ "$with_tests" = no ] || [ "$had_httpd" = yes ] ||
        as_root systemctl disable --quiet mini-httpd.service 2>/dev/null || true
fi
