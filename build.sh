#!/usr/bin/env bash
# Builds Stigmer on Linux and macOS.
#   ./build.sh            builds out/stigmer, one native executable for this machine
#   ./build.sh test       builds it and runs every test
#   ./build.sh faults     does harm to real stacks for some minutes and looks whether they get over it; --rounds N, --seed S, …
#   ./build.sh bench      measures it beside what one would use in its place (docs/benchmarks.md)
#   ./build.sh ANYTHING…  builds it where it is missing or older than its sources, and runs it with these words:
#                         ./build.sh local    starts the stack
# What the machine lacks is installed where that is allowed (Debian-like, as root; the .NET SDK into .dotnet/), and
# otherwise named with the command that installs it.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
exe="$root/out/stigmer"
os="$(uname -s)"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_CLI_UI_LANGUAGE=en

# --- what the machine must have -------------------------------------------------------------------------------------

cc() { command -v clang || command -v gcc || return 1; }

# The linker's answer for a library that it cannot find is the bare name.
has_library() { case "$("$(cc)" -print-file-name="$1")" in /*) return 0 ;; *) return 1 ;; esac; }

missing_tools() {
    if [ "$os" = Darwin ]; then
        xcode-select -p > /dev/null 2>&1 || echo xcode
        return
    fi
    if cc > /dev/null && printf 'int main(void){return 0;}\n' | "$(cc)" -x c - -o /dev/null 2> /dev/null; then
        has_library libz.a || has_library libz.so || echo zlib
        has_library libsqlite3.a || echo sqlite
        has_library libssl.a || echo openssl
    else
        echo compiler zlib sqlite openssl
    fi
    command -v cmake > /dev/null || echo cmake
    # cmake alone builds nothing, and Debian only recommends a make with it.
    command -v make > /dev/null || echo make
    sdk > /dev/null || command -v curl > /dev/null || command -v wget > /dev/null || echo curl
    # The SDK trusts what the system trusts; without any root it can restore nothing.
    [ -n "${SSL_CERT_FILE-}${SSL_CERT_DIR-}" ] || [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] \
        || [ -e /etc/ssl/cert.pem ] || [ -e /etc/ssl/ca-bundle.pem ] || echo ca-certificates
}

# Package names, by family: debian, fedora, arch, alpine.
package() {
    case "$1:$2" in
        debian:compiler) echo gcc libc6-dev ;;      fedora:compiler | arch:compiler) echo gcc ;;  alpine:compiler) echo gcc musl-dev ;;
        debian:zlib) echo zlib1g-dev ;;             fedora:zlib) echo zlib-devel ;;               arch:zlib) echo zlib ;;       alpine:zlib) echo zlib-dev ;;
        debian:sqlite) echo libsqlite3-dev ;;       fedora:sqlite) echo sqlite-devel ;;           arch:sqlite) echo sqlite ;;   alpine:sqlite) echo sqlite-static sqlite-dev ;;
        debian:openssl) echo libssl-dev ;;          fedora:openssl) echo openssl-devel openssl-static ;; arch:openssl) echo openssl ;; alpine:openssl) echo openssl-dev openssl-libs-static ;;
        *) echo "$2" ;;
    esac
}

prepare_tools() {
    local missing family install packages=()
    read -ra missing <<< "$(missing_tools | tr '\n' ' ')"
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$os" != Darwin ] || die "Xcode's command line tools are missing. Install them with: xcode-select --install"
    if command -v apt-get > /dev/null; then family=debian install="apt-get install -y --no-install-recommends"
    elif command -v dnf > /dev/null; then family=fedora install="dnf install -y"
    elif command -v pacman > /dev/null; then family=arch install="pacman -S --noconfirm"
    elif command -v apk > /dev/null; then family=alpine install="apk add"
    else die "missing: ${missing[*]}. Install a C compiler, cmake, zlib, and the static libraries of SQLite and OpenSSL."
    fi
    for each in "${missing[@]}"; do read -ra names <<< "$(package "$family" "$each")"; packages+=("${names[@]}"); done
    if [ "$family" = debian ] && [ "$(id -u)" = 0 ]; then
        say "Installing ${packages[*]}…"
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update && $install "${packages[@]}"; } > "$root/out/.apt.log" 2>&1 || { cat "$root/out/.apt.log" >&2; die "could not install ${packages[*]}"; }
        rm -f "$root/out/.apt.log"
    else
        die "this machine lacks: ${missing[*]}. Install it with:
    sudo $install ${packages[*]}"
    fi
}

# Prints the dotnet that satisfies global.json; fails where there is none.
sdk() {
    local candidate
    for candidate in "$root/.dotnet/dotnet" "$(command -v dotnet || true)"; do
        if [ -x "$candidate" ] && (cd "$root" && "$candidate" --version > /dev/null 2>&1); then echo "$candidate"; return 0; fi
    done
    return 1
}

prepare_sdk() {
    if ! dotnet="$(sdk)"; then
        local version script="$root/.dotnet/dotnet-install.sh" url=https://dot.net/v1/dotnet-install.sh
        version="$(sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "$root/global.json")"
        say "Installing the .NET SDK $version into .dotnet/…"
        mkdir -p "$root/.dotnet"
        if command -v curl > /dev/null; then curl -fsSL "$url" -o "$script"; else wget -qO "$script" "$url"; fi \
            || die "could not download $url. Install the .NET SDK $version yourself: https://dotnet.microsoft.com/download/dotnet/10.0"
        bash "$script" --version "$version" --install-dir "$root/.dotnet" --no-path >&2 \
            || die "could not install the .NET SDK $version. Install it yourself: https://dotnet.microsoft.com/download/dotnet/10.0"
        dotnet="$(sdk)" || die "the .NET SDK in .dotnet/ does not satisfy global.json"
    fi
    DOTNET_ROOT="$(dirname "$(readlink -f "$dotnet" 2> /dev/null || echo "$dotnet")")"
    export DOTNET_ROOT
}

prepare() {
    mkdir -p "$root/out"
    prepare_tools
    prepare_sdk
}

# --- building -------------------------------------------------------------------------------------------------------

target() {
    local arch
    case "$(uname -m)" in x86_64 | amd64) arch=x64 ;; aarch64 | arm64) arch=arm64 ;; *) die "no build for $(uname -m)" ;; esac
    if [ "$os" = Darwin ]; then echo "osx-$arch"
    elif ldd --version 2>&1 | grep -qi musl; then echo "linux-musl-$arch"
    else echo "linux-$arch"
    fi
}

# Runs a command quietly: its output is shown when it fails, or holds a warning.
quietly() {
    local log="$root/out/.build.log"
    if ! "$@" > "$log" 2>&1; then cat "$log" >&2; rm -f "$log"; return 1; fi
    # C and CMake of the OpenSSL shim warn through EXEC; everything with a code of ours is an error already, and must stay one.
    if grep -E 'warning (CS|CA|IDE|IL|NU|NETSDK|xUnit)[0-9]+' "$log" >&2; then rm -f "$log"; die "warnings"; fi
    rm -f "$log"
}

publish() {
    local rid properties=()
    rid="$(target)"
    if [ "$os" = Linux ]; then properties+=("-p:StaticSqlite=$("$(cc)" -print-file-name=libsqlite3.a)"); fi
    if command -v git > /dev/null && git -C "$root" rev-parse --short HEAD > /dev/null 2>&1; then
        properties+=("-p:SourceRevisionId=$(git -C "$root" rev-parse --short HEAD)" "-p:StigmerDate=$(git -C "$root" log -1 --format=%cs)")
    fi
    say "Building out/stigmer for $rid…"
    quietly "$dotnet" publish "$root/Stigmer.csproj" -c Release -r "$rid" -o "$root/out/.publish" --nologo -v quiet "${properties[@]}"
    # Beside and then renamed: an executable that runs is never written over.
    cp "$root/out/.publish/stigmer" "$exe.new"
    mv -f "$exe.new" "$exe"
    rm -rf "$root/out/.publish"
    check_symbols
}

# Statically linked libraries bring the symbols of the machine that built them.
check_symbols() {
    local newest
    [ "$os" = Linux ] && command -v objdump > /dev/null || return 0
    newest="$(objdump -T "$exe" | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n 1)"
    if [ -n "$newest" ] && [ "$(printf '%s\nGLIBC_2.34\n' "$newest" | sort -V | tail -n 1)" != GLIBC_2.34 ]; then
        say "warning: out/stigmer needs $newest; for systems as old as glibc 2.34 build it on Debian 12"
    fi
}

up_to_date() {
    [ -x "$exe" ] || return 1
    [ -z "$(find "$root" \( -path "$root/out" -o -path "$root/.git" -o -path "$root/.dotnet" -o -path "$root/tests" -o -name bin -o -name obj \) -prune \
        -o -type f \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' -o -name '*.proto' -o -name global.json \) -newer "$exe" -print -quit)" ]
}

# --- tests ----------------------------------------------------------------------------------------------------------

# Runs one test program; adds what its summary says to `passed` and `failed`.
run_tests() {
    local log="$root/out/.test.log" name="$1" status=0
    shift
    say "Running $name…"
    "$@" > "$log" 2>&1 || status=$?
    local p f
    p="$(sed -n 's/^ *succeeded: *\([0-9]*\).*/\1/p' "$log" | tail -n 1)"
    f="$(sed -n 's/^ *failed: *\([0-9]*\).*/\1/p' "$log" | tail -n 1)"
    if [ "$status" != 0 ] || [ -z "$p" ]; then
        cat "$log" >&2
        # A test program that died counts as a failure, whatever it had counted.
        [ "${f:-0}" != 0 ] || f=1
    fi
    # What the fault harness did, a line for each kind of fault.
    grep -E '^[a-z]+ +(ok|FAILED|skipped)' "$log" >&2 || true
    rm -f "$log"
    passed=$((passed + ${p:-0}))
    failed=$((failed + ${f:-0}))
}

run_all_tests() {
    local passed=0 failed=0 config="$root/tests"
    publish
    say "Building the tests…"
    for project in unit standins endtoend faults scale; do
        quietly "$dotnet" build "$config/$project" --nologo -v quiet
    done
    run_tests "the unit tests" "$config/unit/bin/Debug/net10.0/Stigmer.Tests" --no-ansi --progress off
    STIGMER_EXE="$exe" run_tests "the end-to-end tests" "$config/endtoend/bin/Debug/net10.0/Stigmer.EndToEnd" --no-ansi --progress off
    STIGMER_EXE="$exe" run_tests "the fault harness" "$config/faults/bin/Debug/net10.0/Stigmer.Faults" --short
    printf '%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

# --------------------------------------------------------------------------------------------------------------------

case "${1-}" in
    "") prepare; publish; say "Built out/stigmer ($(du -h "$exe" | cut -f 1 | tr -d ' '))" ;;
    test) prepare; run_all_tests ;;
    bench)
        prepare
        up_to_date || publish
        quietly "$dotnet" build "$root/tests/standins" --nologo -v quiet
        shift
        exec "$root/tests/bench/run.sh" "$@" ;;
    faults) shift
       prepare
       up_to_date || publish
       quietly "$dotnet" build "$root/tests/faults" --nologo -v quiet
       STIGMER_EXE="$exe" exec "$root/tests/faults/bin/Debug/net10.0/Stigmer.Faults" "$@" ;;
    *) up_to_date || { prepare; publish; }
       exec "$exe" "$@" ;;
esac
