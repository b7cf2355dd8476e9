# shellcheck shell=bash
# Shell functions about coturn's source trees and the series for them. Source it after lib.sh.
#
# Fetched and unpacked files stay in build/cache (or $TURNCRED_CACHE).

# shellcheck disable=SC2154 # top, die: lib.sh
committed=4.6.1 # the version whose series patches/ holds
cache=${TURNCRED_CACHE:-$top/build/cache}

# --- Debian's source, by apt ------------------------------------------------------------------------
# deb-src lines for the machine's own repositories; $1 names another release for its main repository
source_lines() {
  local by uri release component signed own
  own=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(CREATED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)' |
    sort -u | while IFS='|' read -r by uri release component signed; do
    [[ $by == Packages && $component == main ]] || continue
    [[ $signed != '$('* ]] || signed='' # apt prints the placeholder itself if the field is not set
    if [[ -n ${1-} ]]; then
      [[ $release == "$own" ]] || continue
      release=$1
    fi
    printf 'deb-src %s%s %s main\n' "${signed:+[signed-by=$signed] }" "$uri" "$release"
  done | sort -u
}

# with_sources RELEASE COMMAND...: runs COMMAND while apt knows the source repositories; COMMAND passes
# "${options[@]}" to apt's programs. The output goes to a log, which stays if COMMAND fails.
with_sources() {
  local apt rc=0
  apt=$(mktemp -d)
  mkdir -p "$apt"/{lists/partial,archives/partial,empty}
  source_lines "$1" >"$apt/sources.list"
  local options=(-q -o "Dir::Etc::sourcelist=$apt/sources.list" -o "Dir::Etc::sourceparts=$apt/empty"
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt" -o "Dir::Cache::archives=$apt/archives"
    -o APT::Get::List-Cleanup=0 -o Acquire::Retries=3)
  [[ $EUID != 0 ]] || options+=(-o APT::Sandbox::User=root)
  { apt-get "${options[@]}" update && "${@:2}"; } >"$apt/log" 2>&1 || rc=$?
  ((rc == 0)) || sed 's/^/  /' "$apt/log" >"$cache/fetch.log"
  rm -rf "$apt"
  return $rc
}

# download DIR PACKAGE [VERSION]: downloads the files of the source package; a COMMAND of with_sources
download() { cd "$1" && apt-get "${options[@]}" source --download-only --only-source "$2${3+=$3}"; }
download_committed() { download "$1" coturn && compgen -G "$1/coturn_$committed-*.dsc"; }

# download_whole DIR RELEASE PACKAGE [VERSION]: the same, and DIR is made when all files are there
download_whole() {
  rm -rf "$1" "$1.part" && mkdir -p "$1.part" && (with_sources "$2" download "$1.part" "${@:3}") && mv "$1.part" "$1"
}

# fetch_from DIR [RELEASE]: fetches the files of the source package into DIR
fetch_from() { (with_sources "${2-}" download_committed "$1"); }

# offered FILE: writes the version of each coturn source that apt has, one a line; a COMMAND of with_sources
offered() { apt-cache "${options[@]}" showsrc --only-source coturn | sed -n 's/^Version: //p' >"$1"; }

# newer_source: unpacks the newest coturn of this machine's own repositories and prints its folder; prints nothing
# if none is newer than the committed version
newer_source() {
  local newest dir
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  with_sources '' offered "$cache/offered" || {
    cat "$cache/fetch.log" >&2
    die "cannot ask apt which coturn sources there are; the log is above"
  }
  newest=$(sort -V "$cache/offered" | tail -n 1)
  dpkg --compare-versions "${newest%-*}" gt "$committed" || return 0
  dir=$cache/newer/${newest//:/_}
  compgen -G "$dir/*.dsc" >/dev/null || download_whole "$dir" '' coturn "$newest" || {
    cat "$cache/fetch.log" >&2
    die "cannot fetch coturn's source package $newest with apt-get; the log is above"
  }
  unpacked_file "$dir"/*.dsc
}

# unpack_dsc FILE.dsc DIR: unpacks a source package, with Debian's patches applied
unpack_dsc() {
  command -v dpkg-source >/dev/null || die "dpkg-source is missing: install dpkg-dev (or use --install-deps)"
  dpkg-source --no-check -x "$1" "$2" >"$cache/dpkg-source.log" 2>&1 || {
    cat "$cache/dpkg-source.log" >&2
    die "cannot unpack $1"
  }
}

# unpacked: prints the folder of Debian's source with Debian's patches applied
unpacked() {
  local dsc dir=$cache/coturn-$committed
  if [[ ! -f $dir/.complete ]]; then
    rm -rf "$dir" "$cache/download"
    mkdir -p "$cache/download"
    fetch_from "$cache/download" || (rm -f "$cache"/download/* && fetch_from "$cache/download" trixie) || {
      cat "$cache/fetch.log" >&2
      die "cannot fetch coturn's source package $committed with apt-get; the log is above. --source names a source you have"
    }
    dsc=$(printf '%s\n' "$cache/download/coturn_$committed"-*.dsc | sort -V | tail -n 1)
    unpack_dsc "$dsc" "$dir"
    touch "$dir/.complete"
  fi
  echo "$dir"
}

# released_source VERSION DIR: prints the folder of the unpacked source package of this very version; its files are fetched
# into DIR
released_source() {
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  compgen -G "$2/*.dsc" >/dev/null || download_whole "$2" '' coturn "$1" || {
    cat "$cache/fetch.log" >&2
    die "cannot fetch coturn's source package $1, which this release has, with apt-get; the log is above." \
      "Bring apt's lists up to date (apt-get update), or fetch it yourself and name it with --source: another one may lack" \
      "what this version mends"
  }
  unpacked_file "$2"/*.dsc
}

# --- a given source -------------------------------------------------------------------------
# unpacked_file FILE: prints the folder of an unpacked .dsc or archive; the folder's name follows from the content, so
# that each file is unpacked once
unpacked_file() {
  local file=$1 sum dir
  [[ -r $file ]] || die "there is no file $file"
  sum=$(sha256sum <"$file") dir=$cache/unpacked/$(basename "$file")-${sum:0:16}
  if [[ ! -f $dir/.complete ]]; then
    rm -rf "$dir"
    mkdir -p "${dir%/*}"
    if [[ $file == *.dsc ]]; then
      unpack_dsc "$file" "$dir"
    else
      mkdir "$dir"
      # releases and source archives both have one folder at the top
      tar -C "$dir" --strip-components=1 --no-same-owner -xf "$file" || die "cannot unpack $file"
    fi
    touch "$dir/.complete"
  fi
  echo "$dir"
}

# source_tree [DIR|FILE]: prints the folder of an unpacked coturn; without an argument, of Debian's
source_tree() {
  local tree
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  if [[ -z ${1-} ]]; then
    tree=$(unpacked) || exit
  elif [[ -d $1 ]]; then
    tree=$(cd "$1" && pwd)
  else
    tree=$(unpacked_file "$1") || exit
  fi
  flock -u 9
  [[ -f $tree/src/server/ns_turn_server.c ]] || die "$1 holds no coturn source"
  echo "$tree"
}

# version_of_tree DIR: prints the version that the built server will name
version_of_tree() {
  local version
  version=$(sed -n 's/^#define TURN_SERVER_VERSION[[:blank:]]*"\([^"]*\)".*/\1/p' "$1/src/ns_turn_defs.h")
  [[ $version ]] || die "$1 does not say which version it is"
  echo "$version"
}

# version_of_package DIR: prints the version of the Debian source package that was unpacked there
version_of_package() { dpkg-parsechangelog -l "$1/debian/changelog" -S Version; }

# --- the series -------------------------------------------------------------------------------------
# the files that a series is made of, apart from the tree
series_rules() {
  printf '%s\n' "$top/scripts/port-patches" "$top/plugin/include/coturn_auth_module.h"
  find "$top/patches/semantic" -type f -not -name '*.pyc' | sort
}

# port TREE DIR [OPTION...]: makes the series for this tree in DIR, all of it or nothing
port() {
  local tree=$1 dir=$2
  rm -rf "$dir.next"
  "$top/scripts/port-patches" "$tree" --out "$dir.next" "${@:3}" || {
    rm -rf "$dir.next"
    die "there is no series for coturn $(version_of_tree "$tree"): nothing is built"
  }
  rm -rf "$dir"
  mv "$dir.next" "$dir"
}

# patches_in FOLDER: prints the names of the folder's series, in order
patches_in() { sed '/^[[:blank:]]*\(#\|$\)/d; s/[[:blank:]].*//' "$1/series"; }
