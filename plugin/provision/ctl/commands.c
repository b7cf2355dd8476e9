/* commands.c - every command and option there is; help, completion and manual follow this table
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

const struct ctl_option ctl_global_options[] = {
    {"database", "CONNINFO", 0,
     "libpq connection string or URI, without a password: use a passfile or service"},
    {"kek", "PATH", 0, "key encryption key: a file of 32 octets, or a folder of such files"},
    {"config", "FILE", 0, "configuration file instead of " SYSCONFDIR "/turncred/turncredctl.conf"},
    {"json", NULL, 0, "answer in JSON"},
    {"help", NULL, 0, "show this help"},
    {"version", NULL, 0, "show the version"},
    {NULL, NULL, 0, NULL},
};

#define TOKEN_KEY_OPTIONS                                                                          \
  {"algorithm", "A", 0, "A256GCM (default), A128GCM or A256CBC-HS512"},                            \
      {"derivation", "D", 0, "none (default) or hkdf-sha256"},                                     \
      {"key-file", "FILE", CTL_REQUIRED, "K: raw octets"}, {                                       \
    "server-name", "N", CTL_REQUIRED, "name of the TURN server, which the token is bound to"       \
  }

static const struct ctl_option token_decode_options[] = {TOKEN_KEY_OPTIONS, {NULL, NULL, 0, NULL}};
static const struct ctl_option token_encode_options[] = {
    TOKEN_KEY_OPTIONS,
    {"mac-key-file", "FILE", CTL_REQUIRED, "session key: 20 or 32 raw octets"},
    {"timestamp", "N", 0, "64-bit number, seconds with 16 bits of fraction; default now"},
    {"lifetime", "N", CTL_REQUIRED, "seconds"},
    {"test-nonce", "HEX", 0, "fixed nonce, for test vectors alone: never use one twice"},
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option derive_options[] = {
    {"kind", "K", 0, "derived (default) or rest"},
    {"hash", "H", 0, "rest: sha1 (default), sha256, sha384 or sha512"},
    {"username-format", "F", 0, "rest: timestamp:user-id (default) or user-id:timestamp"},
    {"key-file", "FILE", CTL_REQUIRED, "shared key: raw octets, 32 for derived, 1 to 64 for rest"},
    {"realm", "R", CTL_REQUIRED, "realm of the TURN server"},
    {"user", "U", CTL_REQUIRED, "user id without the time"},
    {"expiry", "N", CTL_REQUIRED, "UTC seconds"},
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option probe_options[] = {
    {"server", "HOST[:PORT]", CTL_REQUIRED, "TURN server; port 3478 if none is given"},
    {"transport", "T", 0, "udp (default) or tcp"},
    {"credential", "FILE", 0, "JSON of token issue or credential issue; - is standard input"},
    {"kid", "KID", 0, "key id of the token"},
    {"token-file", "FILE", 0, "access token in base64"},
    {"key-file", "FILE", 0, "session key of the token: raw octets"},
    {"user", "NAME", 0, "username"},
    {"password-file", "FILE", 0, "password: the file's first line; - is standard input"},
    {"eager", NULL, 0, "show the token in the very first request"},
    {"announce", NULL, 0, "say in the first request that we can do tokens"},
    {"allocate-only", NULL, 0, "leave permission, data and refresh out"},
    {"renew", "FILE", 0, "JSON of a second credential, shown in a Refresh of the allocation"},
    {"keep", "DURATION", 0, "then hold the allocation so long, relaying and refreshing"},
    {"refresh-every", "DURATION", 0, "between refreshes while holding; default half the lifetime"},
    {"lifetime", "DURATION", 0, "lifetime to ask for; default the server's"},
    {"count", "N", 0, "datagrams each way (default 1)"},
    {"data-bytes", "N", 0, "octets of a datagram, 4 to 1400 (default 100)"},
    {"peer-address", "ADDRESS[:PORT]", 0, "where our own peer listens; default our local address"},
    {"local-address", "ADDRESS", 0, "address to come from"},
    {"family", "4|6", 0, "address family of the relayed address to ask for"},
    {"timeout", "DURATION", 0, "for one request, at the most (default 39.5 s, RFC 8489)"},
    {"expect-error", "CODE", 0, "succeed only if the probe ends with this STUN error"},
    {NULL, NULL, 0, NULL},
};

const struct ctl_command ctl_commands[] = {
    {"kek generate", "PATH", "Make a key encryption key: a new file of mode 0600", NULL,
     cmd_kek_generate,
     "The file's name is the key's id in the database. Copy the file to every TURN server and\n"
     "issuer over a safe way, and keep one copy away from the database's backups: who has both\n"
     "has all keys; who lost the file has lost the keys."},
    {"token decode", NULL, "Open an access token: base64 on standard input", token_decode_options,
     cmd_token_decode, "Shows what is in the token, whether it has expired or not."},
    {"token encode", NULL, "Make an access token from given parts", token_encode_options,
     cmd_token_encode,
     "For tests and for comparing implementations; token issue makes tokens for use."},
    {"credential derive", NULL, "Compute a username and password from a shared key", derive_options,
     cmd_credential_derive, NULL},
    {"probe", NULL, "Be a TURN client and tell how far it gets", probe_options, cmd_probe,
     "Allocate, CreatePermission, data through the relay to a peer of our own and back, first in\n"
     "indications, then over a channel, Refresh, and release. MESSAGE-INTEGRITY of every answer "
     "is\n"
     "checked with the full key. Example:\n\n"
     "  turncredctl token issue example.org --json |\n"
     "    turncredctl probe --server turn.example.org --credential -\n\n"
     "The peer listens on this host, so the server must be allowed to reach it: coturn refuses\n"
     "loopback peers with 403 unless it runs with allow-loopback-peers, which is for tests only."},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};
