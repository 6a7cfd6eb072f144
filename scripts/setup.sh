#!/usr/bin/env bash
# Everything that Evergreen needs on this machine: system packages, then .venv with the locked Python packages.
# `make` calls it before every command; when nothing has changed it ends within a second.
# `setup.sh lock [uv's options]` (`make lock`) first resolves the Python packages anew, from the same indexes.
#
# MariaDB: only the server's program is needed. Debian and Ubuntu package it without a service as
# mariadb-server-core; the package mariadb-server (which contains it) would also start a server on port 3306 and
# write /etc/mysql. So the core packages are installed, and a MariaDB that the machine runs is never touched.
#
# PYTHON=python3.12 chooses the interpreter; EVERGREEN_SYSTEM_PACKAGES=skip leaves the system alone.
# (EVERGREEN_SETUP_OS_RELEASE and EVERGREEN_SETUP_SBIN are for the tests, which look at another "system".)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
venv=$root/.venv
stamp=$venv/evergreen-setup
export PATH="$PATH${EVERGREEN_SETUP_SBIN-:/usr/sbin:/sbin}"

say() { printf '%s\n' "$*" >&2; }

# One set-up at a time. The lock is this file, so that no lock file is left behind.
exec 9<"${BASH_SOURCE[0]}"
flock -n 9 || { say "Another set-up of this checkout is at work; waiting for it."; flock 9; }

fingerprint() { # of everything that the environment follows from
    { cat requirements.lock pyproject.toml scripts/*-requirements.txt "${BASH_SOURCE[0]}"; echo "$root"; "$venv/bin/python" -V; } 2>&1 | sha256sum
}
have() { command -v "$1" >/dev/null 2>&1; }
have_server() { have mariadbd && have mariadb-install-db; }
system_is_fine() { [ "${EVERGREEN_SYSTEM_PACKAGES:-}" = skip ] || have_server; }

in_range='import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 14))'
# Not sys.executable: in somebody's activated environment that one may be the very .venv that is to be replaced.
base='import sys; print(getattr(sys, "_base_executable", sys.executable))'

# --- Python ---------------------------------------------------------------------------------------------------

python=
if "$venv/bin/python" -c "$in_range" 2>/dev/null && { [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V 2>&1)" = "$("$venv/bin/python" -V)" ]; }; then
    if [ $# -eq 0 ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ] && system_is_fine; then
        exit 0
    fi
    python=$("$venv/bin/python" -c "$base")
else
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c "$in_range" 2>/dev/null; then
            python=$("$candidate" -c "$base")
            break
        fi
    done
fi
if [ -z "$python" ]; then
    say "Evergreen needs Python 3.11, 3.12 or 3.13, and none of ${PYTHON:-python3 python3.13 python3.12 python3.11} is one."
    say "Install one (Debian 12: apt-get install python3 python3-venv), or name it: make test PYTHON=/path/to/python3.12"
    exit 1
fi

# --- System packages ------------------------------------------------------------------------------------------

missing=()
need() { missing+=("$1"); say "  $1: $2"; }
find_missing() {
    missing=()
    have_server || need mariadb-server-core "the MariaDB server's program (no service is set up)"
    have my_print_defaults || need mariadb-client-core "a helper of mariadb-install-db"
    { have mariadb_config || have mysql_config; } || need libmariadb-dev "to build mysqlclient, which Airflow's MySQL provider needs"
    have pkg-config || need pkg-config "to build mysqlclient"
    { have cc || have gcc; } || need gcc "to build mysqlclient"
    [ -f /usr/include/stdio.h ] || need libc6-dev "to build mysqlclient"
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        need "python$version-dev" "$python's headers, to build mysqlclient"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need "python$version-venv" "to make $python's virtual environment"
    # Only beside others: nobody is asked for root's rights for the sake of a program that only a backup needs.
    [ ${#missing[@]} -eq 0 ] || have mariadb-dump || need mariadb-client "for evergreen backup (no service is set up)"
}

if [ "${EVERGREEN_SYSTEM_PACKAGES:-}" != skip ]; then
    missing_text=$(find_missing 2>&1)
    find_missing 2>/dev/null
    if [ ${#missing[@]} -gt 0 ]; then
        say "Evergreen needs these system packages, which are not installed:"
        say "$missing_text"
        # --no-remove: if a package conflicts with one of the machine's, apt stops instead of removing that one.
        # A machine that has just been started updates itself for some minutes, and apt's locks are taken.
        wait_for_lock=(-o DPkg::Lock::Timeout=600)
        install=(apt-get install -y --no-install-recommends --no-remove "${wait_for_lock[@]}" "${missing[@]}")
        system=$(. "${EVERGREEN_SETUP_OS_RELEASE:-/etc/os-release}" 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}")
        case $system in
            "debian 12" | "debian 13" | "ubuntu 24.04" | "ubuntu 24.10" | "ubuntu 25."* | "ubuntu 26."*) ;;
            *)
                say "This system (${system:-unknown}) is none that Evergreen knows (Debian 12 or 13, Ubuntu 24.04 or newer)."
                say "Install these packages, or what they are called here, and run the same command again:"
                say "  ${missing[*]}"
                exit 1
                ;;
        esac
        as_root=()
        if [ "$(id -u)" -ne 0 ]; then
            as_root=(sudo)
            if ! have sudo || { ! sudo -n true 2>/dev/null && [ ! -t 0 ]; }; then
                say "There are no rights here to install them (neither root nor sudo). Ask somebody who has them to run:"
                say "  apt-get update && ${install[*]}"
                say "and run the same command again."
                exit 1
            fi
        fi
        say "Installing them now: ${as_root[*]} ${install[*]}"
        # needrestart would restart services of the machine after an installation; these packages need none.
        quiet=(env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1)
        # apt waits for dpkg's lock, not for that of the package lists; hence the repetition.
        for pause in 10 20 30 60 0; do
            "${as_root[@]}" "${quiet[@]}" apt-get update -qq "${wait_for_lock[@]}" >&2 && break
            if [ "$pause" -eq 0 ]; then
                say "apt-get update failed; going on with the package lists that are there."
            else
                say "apt-get update failed; again in $pause s."
                sleep "$pause"
            fi
        done
        if ! "${as_root[@]}" "${quiet[@]}" "${install[@]}" >&2; then
            say "The installation failed (see above). Install these packages yourself and run the same command again:"
            say "  ${install[*]}"
            exit 1
        fi
    fi
fi

# --- Python packages ------------------------------------------------------------------------------------------

rm -f "$stamp"
if ! "$venv/bin/python" -c 'import pip' 2>/dev/null || [ "$("$venv/bin/python" -V)" != "$("$python" -V)" ]; then
    say "Making the virtual environment .venv with $python"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

# Index, proxy and certificates are those of pip's configuration on this machine; uv does not read it, so they
# are passed on.
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
configured() { "${pip[@]}" config list 2>/dev/null | sed -n "s/^[a-z:.]*[.]$1='\(.*\)'\$/\1/p" | tail -n 1 | sed 's/\\n/ /g'; }
index=$(configured index-url)
extra=$(configured extra-index-url)
links=$(configured find-links)
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
[ -z "$extra" ] || export UV_INDEX="${UV_INDEX:-$extra}"
[ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-${links// /,}}"
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" UV_LINK_MODE="${UV_LINK_MODE:-copy}" UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"

uv=$venv/tools/bin/uv
pinned=$(sed -n 's/^uv==\([^ ]*\).*/uv \1/p' scripts/uv-requirements.txt)
case "$("$uv" --version 2>/dev/null || true) " in
    "$pinned "*) ;;
    *)
        "${pip[@]}" install --quiet --require-hashes --no-deps --target "$venv/tools" --upgrade -r scripts/uv-requirements.txt ||
            say "$pinned could not be installed; pip does its work, slower."
        ;;
esac

catboost_charts="contourpy cycler fonttools graphviz kiwisolver matplotlib narwhals pillow plotly"

# What builds mysqlclient and Evergreen is locked too, twice with the same versions: in a file of its own, to be
# installed before anything is built, and in the lock, which says what the environment holds in the end.
build=scripts/build-requirements.txt
if [ "${1:-}" = lock ]; then
    shift
    [ -x "$uv" ] || { say "make lock needs uv."; exit 1; }
    # Here no hash is checked yet: the first index that has a package wins, as is uv's default.
    compile=(env UV_CUSTOM_COMPILE_COMMAND="make lock" "$uv" pip compile --quiet --universal --generate-hashes
        --python-version 3.11 --no-emit-index-url --no-emit-find-links)
    say "Resolving the Python packages"
    "${compile[@]}" pyproject.toml --extra load --extra postgres --group dev --group build --output-file requirements.lock "$@"
    "${compile[@]}" --group build --constraint requirements.lock --output-file "$build"
    # Each image has only its own packages (Dockerfile). What is in its lock already is preferred, and at first what
    # is in the other one, which the tests run with.
    for image in airflow mlflow serving; do
        own=requirements/$image.lock
        [ -s "$own" ] || { mkdir -p requirements && cat requirements.lock >"$own"; }
        # Never drawn: CatBoost's own charts, a tenth of the image of the service.
        unused=()
        [ "$image" != serving ] || for package in $catboost_charts; do unused+=(--no-emit-package "$package"); done
        "${compile[@]}" --group "image-$image" "${unused[@]}" --output-file "$own" "$@"
    done
fi

say "Installing the locked Python packages (about 200, 1.2 GB; a minute or two)"
# Every package from an index is checked against its hash in these two files, build requirements too: nothing is
# built in an isolated environment, for which the newest ones would be fetched unchecked. So it does not matter
# which index a package is from.
export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
locked=(--quiet --require-hashes --no-build-isolation)
in_venv=(--python "$venv/bin/python")
if ! { [ -x "$uv" ] && "$uv" pip install "${in_venv[@]}" "${locked[@]}" --no-deps -r "$build" &&
    "$uv" pip sync "${in_venv[@]}" "${locked[@]}" --compile-bytecode requirements.lock; }; then
    say "uv did not get through; trying pip."
    "${pip[@]}" install "${locked[@]}" --no-deps -r "$build"
    "${pip[@]}" install "${locked[@]}" --no-deps -r requirements.lock
fi
say "Installing Evergreen itself"
itself=(--quiet --no-build-isolation --no-deps --editable .)
if ! { [ -x "$uv" ] && "$uv" pip install "${in_venv[@]}" "${itself[@]}"; }; then
    "${pip[@]}" install "${itself[@]}"
fi
"$venv/bin/python" -c 'import evergreen, MySQLdb'
fingerprint >"$stamp.new"
mv "$stamp.new" "$stamp"
say "Set-up done."
