#!/usr/bin/env bats
# The offline commands of turncredctl against tests/conformance/vectors.json: every vector encodes
# and decodes, everything refused is refused with a reason on stderr.
# SPDX-License-Identifier: BSD-3-Clause

setup() {
  TOP=${top_srcdir:-$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)}
  CTL=$(realpath -m "${top_builddir:-${BUILDDIR:-$TOP/build}}/turncredctl")
  VECTORS=$TOP/tests/conformance/vectors.json
  [ -x "$CTL" ] || skip "turncredctl is not built"
  cd "$BATS_TEST_TMPDIR" || return
}

# octets HEX: raw on stdout
octets() { xxd -r -p <<<"$1"; }

# field NAME: of the vector in $vector
field() { jq -r --arg n "$1" '.[$n]' <<<"$vector"; }

# vectors LIST: one compact JSON object a line
vectors() { jq -c ".$1[]" "$VECTORS"; }

# Nothing on stdout, a reason on stderr, and not a crash.
refused() {
  local rc=0
  "$@" >out 2>err || rc=$?
  [ "$rc" -ge 1 ] && [ "$rc" -le 2 ] && [ ! -s out ] && [ -s err ] || {
    echo "exit code $rc of $*"
    cat out err
    return 1
  }
}

token_options() {
  octets "$(field K)" >k
  options=(--alg "$(field algorithm)" --derivation "$(field derivation)" --key-file k
    --server-name "$(field server_name)")
}

decodes_to_vector() {
  octets "$1" | base64 -w0 >token
  "$CTL" token decode "${options[@]}" --json <token >decoded
  [ "$(jq -r .mac_key decoded)" = "$(octets "$(field mac_key)" | base64 -w0)" ]
  [ "$(jq -r .timestamp decoded)" = "$(field timestamp)" ]
  [ "$(jq -r .lifetime decoded)" = "$(field lifetime)" ]
}

@test "token decode: every vector" {
  local n=0 vector
  while read -r vector; do
    token_options
    decodes_to_vector "$(field token)"
    if [ "$(field token_rfc7635_literal_zero_iv)" != null ]; then
      decodes_to_vector "$(field token_rfc7635_literal_zero_iv)"
    fi
    n=$((n + 1))
  done < <(vectors tokens)
  [ "$n" -ge 12 ]
}

@test "token decode: appendix A of RFC 7635, both algorithms" {
  local vector alg
  vector=$(jq -c '.rfc7635_appendix_A | .mac_key = .mac_key_hex' "$VECTORS")
  for alg in A256GCM A128GCM; do
    octets "$(field K_hex)" | head -c $([ $alg = A128GCM ] && echo 16 || echo 32) >k
    options=(--alg $alg --key-file k --server-name "$(field server_name_AAD)")
    decodes_to_vector "$(jq -r ".rfc7635_appendix_A.$alg.token_hex" "$VECTORS")"
  done
}

@test "token encode: every vector, with its nonce" {
  local n=0 vector token nonce_length
  while read -r vector; do
    token_options
    octets "$(field mac_key)" >mac
    for token in "$(field token)" "$(field token_rfc7635_literal_zero_iv)"; do
      [ "$token" != null ] || continue
      nonce_length=$((0x${token:0:4}))
      "$CTL" token encode "${options[@]}" --mac-key-file mac --timestamp "$(field timestamp)" \
        --lifetime "$(field lifetime)" --test-nonce "${token:4:nonce_length*2}" --json >made
      [ "$(jq -r .access_token made)" = "$(octets "$token" | base64 -w0)" ]
      n=$((n + 1))
    done
  done < <(vectors tokens)
  [ "$n" -ge 16 ]
}

@test "token encode: a nonce of its own every time, which decodes" {
  local vector i
  vector=$(vectors tokens | head -n 1)
  token_options
  octets "$(field mac_key)" >mac
  for i in 1 2 3; do
    "$CTL" token encode "${options[@]}" --mac-key-file mac --lifetime 60 --json | jq -r .access_token >>made
  done
  [ "$(sort -u made | wc -l)" = 3 ]
  head -n 1 made | "$CTL" token decode "${options[@]}" --json >decoded
  [ "$(jq .lifetime decoded)" = 60 ]
  [ $(($(date +%s) - $(jq .issued_at decoded))) -le 10 ]
}

@test "token decode: every refused vector" {
  local n=0 vector
  while read -r vector; do
    token_options
    octets "$(field token)" | base64 -w0 >token
    refused "$CTL" token decode "${options[@]}" --json <token || {
      echo "$vector"
      return 1
    }
    n=$((n + 1))
  done < <(vectors tokens_refused)
  [ "$n" -ge 14 ]
}

@test "token decode: truncated at every length, and one bit of each octet flipped" {
  local vector token n i octet
  vector=$(vectors tokens | head -n 1)
  token_options
  token=$(field token)
  for ((n = 0; n < ${#token} / 2; n++)); do
    octets "${token:0:n*2}" | base64 -w0 >t
    refused "$CTL" token decode "${options[@]}" <t
    printf -v octet %02x $((0x${token:n*2:2} ^ 1 << n % 8))
    octets "${token:0:n*2}$octet${token:n*2+2}" | base64 -w0 >t
    refused "$CTL" token decode "${options[@]}" <t
  done
}

@test "token decode: input that is not strict base64" {
  local vector base64 bad
  vector=$(vectors tokens | head -n 1)
  token_options
  base64=$(octets "$(field token)" | base64 -w0)
  for bad in "${base64%=}" "${base64:0:8} ${base64:8}" "$base64=" "${base64//=/}" "-$base64" "?"; do
    printf %s "$bad" >t
    refused "$CTL" token decode "${options[@]}" <t
  done
  head -c 100000 /dev/zero >t
  refused "$CTL" token decode "${options[@]}" <t
}

@test "keys of a wrong length are refused, with the right length in the message" {
  local alg want n
  for alg in A256GCM=32 A128GCM=16 A256CBC-HS512=64; do
    want=${alg#*=}
    for n in 0 15 16 17 31 32 33 63 64 65; do
      [ "$n" != "$want" ] || continue
      head -c "$n" /dev/urandom >k
      echo AAAA >t
      refused "$CTL" token decode --alg "${alg%=*}" --key-file k --server-name s <t
      grep -Eq -- "--key-file.*($want|64) " err
    done
  done
  head -c 31 /dev/urandom >k
  refused "$CTL" credential derive --key-file k --realm r --user u --expiry 1764003600
}

@test "credential derive: every derived vector" {
  local n=0 vector
  while read -r vector; do
    octets "$(field K)" >k
    "$CTL" credential derive --kind derived --key-file k --realm "$(field realm)" --user "$(field user_id)" \
      --expiry "$(field expiry)" --json >made
    for name in username password long_term_key_md5; do
      [ "$(jq -r ".$name" made)" = "$(field $name)" ]
    done
    n=$((n + 1))
  done < <(vectors derived)
  [ "$n" -ge 18 ]
}

@test "credential derive: every rest vector" {
  local n=0 vector user
  while read -r vector; do
    printf %s "$(field secret)" >k
    user=$(field username)
    case $(field username_format) in
    timestamp:user-id) user=${user#*:} ;;
    *) user=${user%:*} ;;
    esac
    "$CTL" credential derive --kind rest --alg "$(field hash)" --username-format "$(field username_format)" \
      --key-file k --realm "$(field realm)" --user "$user" --expiry 1764003600 --json >made
    for name in username password long_term_key_md5; do
      [ "$(jq -r ".$name" made)" = "$(field $name)" ]
    done
    n=$((n + 1))
  done < <(vectors rest)
  [ "$n" -ge 12 ]
}

# A username that must be refused cannot be made either.
@test "credential derive: refused usernames are not made" {
  local n=0 vector name user expiry
  openssl rand -hex 16 | tr -d '\n' >k # random octets may end in a newline, which no secret may
  while read -r vector; do
    # no argument of a program can hold a NUL
    [[ $vector != *u0000* ]] || continue
    IFS= read -r -d '' name < <(jq -j . <<<"$vector" && printf '\0')
    user=${name%:*} expiry=${name##*:}
    [[ $name == *:* ]] || expiry=''
    # "1764003600:extra" behind the last colon is no expiry; before it, it is a user's name
    refused "$CTL" credential derive --key-file k --realm r --user "$user" --expiry "$expiry"
    n=$((n + 1))
  done < <(vectors derived_usernames_refused)
  [ "$n" -ge 19 ]
  for user in 'a b' "a'b" 'a"b' 'a\b' 'union-select' "$(printf 'a\nb')" "$(printf 'x%.0s' {1..493})"; do
    refused "$CTL" credential derive --key-file k --realm r --user "$user" --expiry 1764003600
  done
}

@test "options that contradict or do not exist name themselves" {
  openssl rand -hex 16 | tr -d '\n' >k # random octets may end in a newline, which no secret may
  refused "$CTL" credential derive --key-file k --realm r --user u --expiry 1 --alg sha1
  grep -q -- --alg err
  refused "$CTL" credential derive --kind rest --alg md5 --key-file k --realm r --user u --expiry 1
  grep -q md5 err
  refused "$CTL" credential derive --kind token --key-file k --realm r --user u --expiry 1
  refused "$CTL" token decode --alg none --key-file k --server-name s
  refused "$CTL" token decode --derivation md5 --key-file k --server-name s
  refused "$CTL" token decode --key-file missing --server-name s
  grep -q missing err
  refused "$CTL" nonsense
  refused "$CTL" token
}

@test "configuration file: a value that libpq cannot read names its line; a byte order mark is none of it" {
  printf '# head\ndatabase = "host=/nonexistent dbname=x"\n' >quoted.conf
  refused "$CTL" realm list --config quoted.conf
  grep -q 'quoted.conf, line 2: database stands in quotes' err
  printf 'database = host=/nonexistent dbname=x # here\n' >comment.conf
  refused "$CTL" realm list --config comment.conf
  grep -q 'comment.conf, line 1: database is not a libpq connection string.*comments on lines of their own' err
  printf '\xef\xbb\xbfdatabase = host=/nonexistent dbname=x\r\n' >mark.conf
  run "$CTL" realm list --config mark.conf
  [ "$status" -eq 3 ] && [[ $output == *'/nonexistent'* ]]
}

@test "kek generate: 32 octets, mode 0600, never over a file" {
  umask 000
  "$CTL" kek generate main --json >made
  [ "$(jq -r .kek_id made)" = main ]
  [ "$(stat -c '%a %s' main)" = '600 32' ]
  cp main before
  refused "$CTL" kek generate main
  cmp main before
  refused "$CTL" kek generate 'odd name'
  refused "$CTL" kek generate 'never/odd name'
  [ ! -e never ]
  touch file
  refused "$CTL" kek generate file/main
  refused "$CTL" kek generate file/folder/main
  "$CTL" kek generate other
  ! cmp -s main other
}

@test "kek generate: makes the folders that are missing, and only the one of the key is closed" {
  umask 077
  "$CTL" kek generate etc/turncred/kek/main
  [ "$(stat -c '%a' etc etc/turncred etc/turncred/kek etc/turncred/kek/main | paste -sd' ')" = '755 755 700 600' ]
  "$CTL" kek generate other//kek//main
  [ "$(stat -c '%a' other other/kek | paste -sd' ')" = '755 700' ]
  chmod 750 etc/turncred/kek
  (umask 000 && "$CTL" kek generate "$PWD//etc/turncred/kek/second")
  [ "$(stat -c '%a' etc/turncred/kek etc/turncred/kek/second | paste -sd' ')" = '750 600' ]
}

@test "every command has a help, and --version works" {
  local command
  "$CTL" --help >all
  "$CTL" --version | grep -Eq '^turncredctl [0-9]'
  "$CTL" --help | sed -n '/^Commands:/,/^Options/s/^  \([a-z].*\)/\1/p' >lines
  [ -s lines ]
  while read -r command; do
    # words in capitals are operands, two blanks begin the summary
    command=$(sed 's/  .*//; s/ \[\{0,1\}[A-Z].*//' <<<"$command")
    # shellcheck disable=SC2086
    "$CTL" $command --help | grep -q "usage: turncredctl $command"
  done <lines
}

@test "no core dump and no secret in the arguments" {
  # a passphrase in argv would be visible to everybody: no option takes one
  "$CTL" --help >all
  ! grep -Ei -- '--(password|secret|token|key) ' all
}

@test "the manual names every command and option, and is sound" {
  "$CTL" manual >page
  # operands and options that can be left out are so apart from each other
  mandoc -T ascii page | col -b | grep -qF 'key add REALM [KID] [options]'
  "$CTL" --help >all
  sed -n 's/^  *--\([a-z-]*\).*/\1/p' all >options
  "$CTL" completion bash | grep -o -- '--[a-z-]*' | sort -u | sed 's/^--//' | grep . >>options
  [ "$(wc -l <options)" -ge 60 ]
  while read -r option; do grep -q -- "^.It Fl .-$option\b" page || {
    echo "$option is missing"
    return 1
  }; done <options
  "$CTL" completion bash | sed -n "s/^  \\['\(.*\)'\\]=.*/\1/p" >commands
  [ "$(wc -l <commands)" -ge 30 ]
  while read -r command; do grep -q "^.Ss $command\$" page; done <commands
  ! command -v mandoc || mandoc -T lint -W error page
}

@test "bash completes commands and options" {
  "$CTL" completion bash >completion
  bash -c '. ./completion
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _turncredctl; printf "%s\n" "${COMPREPLY[@]}"; }
complete_words turncredctl re | sort -u | grep -qx realm
complete_words turncredctl realm s | sort | paste -sd" " | grep -qx "set show"
complete_words turncredctl key add r1 k1 --su | grep -qx -- --subject-tag
complete_words turncredctl --js | grep -qx -- --json
! complete_words turncredctl kek generate --server | grep -q .'
}
