#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Installs libturncred below a scratch DESTDIR and uses it as a foreign program would: pkg-config,
# a C and a C++ compiler, the example. Nothing but turncred_* may be exported, and the man page
# names every function. What programs built against this SONAME rely on is as libturncred.abi has it.
set -eu

: "${top_srcdir:?set by make check}" "${top_builddir:?set by make check}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
dest=$scratch/dest
fail() {
	echo "test_core_install: $*" >&2
	exit 1
}
command -v pkg-config >/dev/null || { echo "skipped: pkg-config is missing"; exit 77; }

cd "$top_builddir"
if [ "$(grep -m1 '^build_libtool_libs=' libtool)" != build_libtool_libs=yes ] || grep -q '^\(CFLAGS\|TC_CFLAGS\) = .*-fsanitize' Makefile; then
	echo "skipped: not an ordinary build with shared libraries"
	exit 77
fi
${MAKE:-make} install-libLTLIBRARIES install-includeHEADERS install-pkgconfigDATA DESTDIR="$dest" \
	>"$scratch/install.log" 2>&1 || { cat "$scratch/install.log"; fail "make install failed"; }

pc=$(find "$dest" -name turncred.pc)
lib=$(find "$dest" -name 'libturncred.so.*' -type f)
[ -n "$pc" ] || fail "turncred.pc was not installed"
[ -n "$lib" ] || fail "libturncred.so was not installed"
PKG_CONFIG_SYSROOT_DIR=$dest
PKG_CONFIG_PATH=$(dirname "$pc")
LD_LIBRARY_PATH=$(dirname "$lib")
export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH LD_LIBRARY_PATH
flags=$(pkg-config --cflags --libs turncred)
[ "$(pkg-config --modversion turncred)" = "$(sed -n 's/^PACKAGE_VERSION = //p' Makefile)" ] ||
	fail "turncred.pc has another version than the package"

# the example
# shellcheck disable=SC2086
${CC:-cc} -Wall -Wextra -Werror -o "$scratch/mint" "$top_srcdir/plugin/core/example/mint.c" $flags ||
	fail "the example does not build with: $flags"
printf '%s' '0123456789abcdef0123456789abcdef' >"$scratch/key"
out=$("$scratch/mint" "$scratch/key" example.org alice 3600) || fail "the example failed"
/usr/bin/python3 "$top_srcdir/tests/unit/check_minted.py" "$out" || fail "the example's credential is wrong: $out"
printf '%s\n' '0123456789abcdef0123456789abcdef' >"$scratch/key" # 33 octets
if "$scratch/mint" "$scratch/key" example.org alice 3600 >/dev/null 2>"$scratch/err"; then
	fail "a key with a trailing newline was accepted"
fi
grep -q bad_key "$scratch/err" || fail "a key with a trailing newline: $(cat "$scratch/err")"

# the header alone, in C++
if command -v c++ >/dev/null; then
	printf '%s\n' '#include <turncred.h>' 'int main() { return turncred_err_name(TURNCRED_OK) == 0; }' \
		>"$scratch/a.cc"
	# shellcheck disable=SC2086
	c++ -Wall -Wextra -Werror -pedantic -o "$scratch/a" "$scratch/a.cc" $flags ||
		fail "the header does not work in C++"
	"$scratch/a" || fail "the C++ program failed"
fi

# exports: what the header declares, all of it and nothing else
grep -oE '\bturncred_[a-z0-9_]+\(' "$top_srcdir/plugin/core/turncred.h" | tr -d '(' | sort -u \
	>"$scratch/declared"
nm -D --defined-only "$lib" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u \
	>"$scratch/exported"
[ "$(wc -l <"$scratch/exported")" -gt 40 ] || fail "too few symbols are exported"
grep -v '^turncred_' "$scratch/exported" && fail "foreign symbols are exported"
comm -23 "$scratch/exported" "$scratch/declared" >"$scratch/undeclared"
[ ! -s "$scratch/undeclared" ] || fail "exported but not declared: $(cat "$scratch/undeclared")"
while read -r name; do
	grep -qE "\b$name\b" "$top_srcdir/plugin/core/turncred.3" || fail "turncred.3 does not name $name"
done <"$scratch/exported"
# one page for each name: none missing in the shared library
grep -oE '^(enum turncred_err|const char \*|int|void|size_t|struct turncred_ws \*) ?\*?turncred_[a-z0-9_]+\(' \
	"$top_srcdir/plugin/core/turncred.h" | grep -oE 'turncred_[a-z0-9_]+\(' | tr -d '(' | sort -u \
	>"$scratch/functions"
comm -13 "$scratch/exported" "$scratch/functions" >"$scratch/missing"
[ ! -s "$scratch/missing" ] || fail "declared but not exported: $(cat "$scratch/missing")"
# Debian's symbols file has a line for each function, with the version that brought it
sed -n 's/^ \(turncred_[a-z0-9_]*\)@TURNCRED_[0-9]* [0-9].*/\1/p' "$top_srcdir/scripts/packaging/debian/libturncred2.symbols" |
	sort -u >"$scratch/packaged"
diff "$scratch/exported" "$scratch/packaged" >"$scratch/differ" ||
	fail "libturncred2.symbols: < is not listed, > is not exported: $(grep '^[<>]' "$scratch/differ")"
# programs that are built stay good under one SONAME: what libturncred.abi has is there, as it was
soname=$(objdump -p "$lib" | awk '$1 == "SONAME" { print $2 }')
record=$top_srcdir/plugin/core/libturncred.abi
/usr/bin/python3 "$top_srcdir/tests/unit/declarations.py" "$top_srcdir/plugin/core/turncred.h" >"$scratch/declarations"
[ "$soname" = "$(head -n 1 "$record")" ] || fail "the library is $soname, libturncred.abi is of $(head -n 1 "$record"): make it anew"
[ "$(head -n 1 "$top_srcdir/scripts/packaging/debian/libturncred2.symbols")" = "$soname libturncred${soname##*.} #MINVER#" ] ||
	fail "libturncred2.symbols is not of $soname: rename the package with the library"
tail -n +2 "$record" | grep -vxFf "$scratch/declarations" >"$scratch/gone" &&
	fail "gone or changed since libturncred.abi was made; programs built before would break: put it back, or raise -version-info, \
rename the package and make libturncred.abi anew: $(cat "$scratch/gone")"
grep -vxFf "$record" "$scratch/declarations" >"$scratch/new" &&
	fail "not in libturncred.abi, add it: $(cat "$scratch/new")"
echo "test_core_install: $(wc -l <"$scratch/exported") functions"
