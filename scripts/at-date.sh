#!/usr/bin/env bash
# Run a command, and all that it starts, as if it were another moment; from there the clock goes on as usual.
#
#   make setup
#   scripts/at-date.sh '2028-02-29 23:58' make test
#   TZ=Europe/Berlin scripts/at-date.sh '2027-03-28 01:59:50' .venv/bin/evergreen up
#
# The moment is in the time zone of TZ, as date(1) reads it. Needs Debian's package faketime and a C compiler. What
# was started stays at its date until it ends, so `evergreen down` ends such a stack.
#
# Only the wall clock is moved. The monotonic clock, by which everything waits, is not, and neither are the times
# of files. Servers with a certificate that is not valid at that date are refused: make the set-up before.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
[ $# -ge 2 ] || { say "usage: at-date.sh MOMENT COMMAND [ARGUMENT...]"; exit 2; }

library=
for folder in "/usr/lib/$(uname -m)-linux-gnu/faketime" /usr/lib/faketime /usr/lib64/faketime /usr/local/lib/faketime; do
    if [ -f "$folder/libfaketime.so.1" ]; then
        library=$folder/libfaketime.so.1
        break
    fi
done
[ -n "$library" ] || { say "libfaketime is not installed (Debian, Ubuntu: apt-get install faketime)."; exit 1; }
wanted=$(date -d "$1" +%s) || { say "date(1) does not understand the moment '$1'."; exit 2; }
shift

# libfaketime 0.9.10 moves the moment until which clock_nanosleep(2) sleeps though it leaves that call's clock
# alone; Python's time.sleep then fails. This passes the call to the kernel as it is.
folder=${XDG_CACHE_HOME:-$HOME/.cache}/evergreen
case $folder in *[\ :]*) folder=$(mktemp -d /tmp/evergreen-at-date.XXXXXX) ;; esac # LD_PRELOAD's separators
mkdir -p -m 700 "$folder"
sleep=$folder/at-date-sleep.so
draft=$(mktemp "$folder/draft.XXXXXX")
trap 'rm -f "$draft"' EXIT
cc -shared -fPIC -O2 -x c -o "$draft" - <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    return syscall(SYS_clock_nanosleep, clock, flags, until, left) ? errno : 0;
}
C
mv "$draft" "$sleep"

# An offset instead of a date: a process that is started later is not back at the first moment.
offset=$((wanted - $(date +%s)))
exec env FAKETIME="$([ "$offset" -lt 0 ] || echo +)${offset}s" FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 \
    LD_PRELOAD="$sleep:$library${LD_PRELOAD:+:$LD_PRELOAD}" "$@"
