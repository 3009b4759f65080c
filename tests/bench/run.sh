#!/usr/bin/env bash
# Measures whole commands of the native executable beside what a person would type in their place: `./build.sh bench [ROW…]`.
# A row is a function below, named row_NAME. Each prints its figures as a line of docs/benchmarks.md's table.
#   STIGMER_EXE   the executable; default out/stigmer
#   RUNS          how often each command is run; default 10
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
exe="${STIGMER_EXE:-$root/out/stigmer}"
standins="$root/tests/standins/bin/Debug/net10.0/Stigmer.Standins"
runs="${RUNS:-10}"
work="$(mktemp -d)"
pids=()

cleanup() {
    for pid in "${pids[@]+"${pids[@]}"}"; do kill "$pid" 2> /dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

die() { echo "error: $*" >&2; exit 1; }

need() {
    command -v "$1" > /dev/null && return
    if command -v apt-get > /dev/null && [ "$(id -u)" = 0 ]; then apt-get install -y --no-install-recommends "$1" > /dev/null 2>&1 && return; fi
    die "$1 is needed. Install it: https://github.com/sharkdp/hyperfine (apt-get install $1, brew install $1)"
}

# compare NAME PREPARE OURS THEIRS: one table line with the medians in milliseconds and their ratio. Beside a busy neighbour
# medians say less than the fastest runs, whose ratio is printed too.
compare() {
    hyperfine --style none --runs "$runs" --warmup 1 --prepare "$2" --export-csv "$work/figures.csv" -N "$3" "$4" > /dev/null 2> "$work/hyperfine.log" \
        || { cat "$work/hyperfine.log" >&2; die "$1 failed"; }
    awk -F, -v name="$1" 'NR == 2 { median = $(NF - 4); least = $(NF - 1) } NR == 3 {
        printf "| %s | %.0f ms | %.0f ms | %.2f | %.2f |\n", name, median * 1000, $(NF - 4) * 1000, median / $(NF - 4), least / $(NF - 1) }' "$work/figures.csv"
}

# peak COMMAND…: the most memory that a process had resident, in MB, as the kernel counts it.
peak() {
    "$@" > /dev/null 2>&1 &
    local pid=$! most=0 now
    while now="$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2> /dev/null)" && [ -n "$now" ]; do most="$now"; done
    wait "$pid" || die "$* failed"
    awk -v kb="$most" 'BEGIN { printf "%.1f", kb / 1024 }'
}

# A mirror with an archive of about 100 MB.
mirror() {
    "$standins" large "$work/releases" 1.99.0 "${MEGABYTES:-240}"
    mkfifo "$work/mirror.in"
    exec 9<> "$work/mirror.in"
    "$standins" mirror "$work/releases" < "$work/mirror.in" > "$work/mirror.out" 9>&- &
    pids+=($!)
    until url="$(sed -n 's/^URL=//p' "$work/mirror.out")" && [ -n "$url" ]; do kill -0 "${pids[-1]}" || die "the mirror does not start"; done
    asset="$(basename "$work"/releases/v1.99.0/*.tar.gz)"
}

row_download() {
    mirror
    export STIGMER_HOME="$work/home" STIGMER_TEMPORAL_MIRROR="$url"
    local clean="rm -rf $work/home $work/theirs && mkdir -p $work/home $work/theirs" archive="$url/v1.99.0/$asset"
    cat > "$work/theirs.sh" <<END
set -o pipefail
curl -fsSL "$archive" | tar xz -C "$work/theirs"
END
    local megabytes=$(($(wc -c < "$work/releases/v1.99.0/$asset") / 1000000))
    compare "\`stigmer temporal install\`, $megabytes MB archive, beside \`curl \\| tar xz\`" "sh -c '$clean'" "$exe temporal install 1.99.0" "bash $work/theirs.sh"
    sh -c "$clean"
    [ -d /proc/self ] || return 0
    echo "| its resident memory at most | $(peak "$exe" temporal install 1.99.0) MB | | | |"
}

need hyperfine
command -v curl > /dev/null || need curl
[ -x "$exe" ] || die "there is no $exe: ./build.sh builds it"
[ -x "$standins" ] || die "there is no $standins: dotnet build tests/standins builds it"
echo "| | Stigmer, median | the other, median | ratio | ratio of the fastest |"
echo "| --- | --- | --- | --- | --- |"
if [ $# = 0 ]; then set -- $(declare -F | sed -n 's/^declare -f row_//p'); fi
for row in "$@"; do
    declare -F "row_$row" > /dev/null || die "there is no row $row; there are: $(declare -F | sed -n 's/^declare -f row_//p' | tr '\n' ' ')"
    "row_$row"
done
