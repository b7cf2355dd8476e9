/*
 * commands.c - the table of all commands and options; help, completion and manual are made from it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "sql.h"

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
  {"alg", "A", 0, "A256GCM (default), A128GCM or A256CBC-HS512"},                                  \
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
    {"alg", "A", 0, "rest: sha1 (default), sha256, sha384 or sha512"},
    {"username-format", "F", 0, "rest: timestamp:user-id (default) or user-id:timestamp"},
    {"key-file", "FILE", CTL_REQUIRED, "shared key: raw octets, 32 for derived, 1 to 64 for rest"},
    {"realm", "R", CTL_REQUIRED, "realm of the TURN server"},
    {"user", "U", CTL_REQUIRED, "user id without the time"},
    {"expiry", "N", CTL_REQUIRED, "UTC seconds"},
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option probe_options[] = {
    {"server", "HOST[:PORT]", CTL_REQUIRED,
     "TURN server; port 3478 (TLS, DTLS: 5349) if none is given"},
    {"transport", "T", 0, "udp (default), tcp, dtls or tls"},
    {"ca-file", "FILE", 0, "TLS, DTLS: certificates to trust instead of the system's"},
    {"tls-name", "NAME", 0, "TLS, DTLS: the certificate's name, where --server is another"},
    {"insecure", NULL, 0, "TLS, DTLS: do not look at the certificate"},
    {"credential", "FILE", 0, "JSON of token issue or credential issue; - is standard input"},
    {"kid", "KID", 0, "key id of the token"},
    {"token-file", "FILE", 0, "access token in base64"},
    {"key-file", "FILE", 0, "session key of the token: raw octets"},
    {"user", "NAME", 0, "username"},
    {"password-file", "FILE", 0, "password: the file's first line; - is standard input"},
    {"eager", NULL, 0, "show the token in the very first request"},
    {"announce", NULL, 0, "say in the first request that we can do tokens"},
    {"origin", "ORIGIN", 0, "say where we come from, which chooses the realm on some servers"},
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

static const struct ctl_option schema_options[] = {
    {"directory", "DIR", 0, "folder of the numbered SQL files instead of the installed one"},
    {NULL, NULL, 0, NULL},
};

#define REALM_OPTIONS                                                                              \
  {"server-name", "N", 0, "name of the TURN server in tokens and challenges"},                     \
      {"mechanisms", "M,M...", 0, "of token, derived, rest, pushed, in the order tried"},          \
      {"expiry-token", "P", 0, "strict (default), grace or allocate"},                             \
      {"expiry-derived", "P", 0, "strict, grace or allocate (default)"},                           \
      {"expiry-rest", "P", 0, "strict, grace or allocate (default)"},                              \
      {"expiry-pushed", "P", 0, "strict, grace or allocate (default)"},                            \
      {"grace", "DURATION", 0, "after expiry, where the policy is grace"},                         \
      {"max-ttl", "DURATION", 0, "no credential lives longer (default 1d)"},                       \
      {"default-ttl", "DURATION", 0, "of credentials issued without a lifetime (default 1h)"},     \
      {"user-quota", "N", 0, "allocations of one user; 0: as the server is configured"},           \
      {"total-quota", "N", 0, "allocations of the realm; 0: as the server is configured"},         \
      {"max-bps", "N", 0, "octets per second of one session; 0: as the server is configured"},     \
      {"at-rest", "A", 0, "sealed (default), or plain for programs that know SQL alone"},          \
      {"kek-id", "ID", 0, "key encryption key of the realm's new rows; empty: none of its own"},   \
      {"subject-tag", "yes|no", 0, "new token keys tag their tokens with the subject"},            \
      {"bind-address", "yes|no", 0, "credentials are bound to the client's address"},              \
      {"guest-kid", "REALM/KID", CTL_REPEAT, "key of another realm that is accepted here"},        \
      {"listen-address", "ADDRESS", CTL_REPEAT, "local address whose challenges name this realm"}, \
      {"origin", "ORIGIN", CTL_REPEAT, "ORIGIN whose challenges name this realm"},                 \
      {"foreign-caller", "NAME", 0,                                                                \
       "a foreign TURN server's realm: this caller may fetch its keys, our servers get none"},     \
  {                                                                                                \
    "uri", "URI", CTL_REPEAT,                                                                      \
        "turn: or turns: URI that turncredd hands out (default: from --server-name)"               \
  }

static const struct ctl_option realm_options[] = {REALM_OPTIONS, {NULL, NULL, 0, NULL}};
static const struct ctl_option realm_remove_options[] = {
    {"with-contents", NULL, 0, "with its keys and pushed credentials"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option key_add_options[] = {
    {"use", "USE", 0, "token (default), derived or rest"},
    {"alg", "A", 0,
     "token: A256GCM (default), A128GCM, A256CBC-HS512; rest: sha1 (default), "
     "sha256, sha384, sha512"},
    {"derivation", "D", 0, "token: none (default) or hkdf-sha256"},
    {"username-format", "F", 0, "rest: timestamp:user-id (default) or user-id:timestamp"},
    {"from", "FILE", 0, "take the raw octets of this file (-: standard input) instead of new ones"},
    {"save", "FILE", 0, "also write the octets into this new file, for who shares the key"},
    {"state", "S", 0, "active (default), or published: accepted, not yet signed with"},
    {"not-before", "TIME", 0, "no server accepts it earlier"},
    {"sign-until", "TIME", 0, "no issuer signs with it from then on"},
    {"accept-until", "TIME", 0, "no server accepts it from then on"},
    {"kek-id", "ID", 0, "key encryption key to seal it with, if --kek is a folder of several"},
    {"subject-tag", "yes|no", 0, "token: tag tokens with the subject; default as the realm says"},
    {"allow-zero-iv", NULL, 0, "A256CBC-HS512: accept RFC 7635's literal form without a nonce"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option key_set_options[] = {
    {"state", "S", 0, "published, active, retired or disabled"},
    {"not-before", "TIME", 0, "or open"},
    {"sign-until", "TIME", 0, "or open"},
    {"accept-until", "TIME", 0, "or open"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option key_remove_options[] = {
    {"now", NULL, 0, "even though credentials under it are still accepted"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option key_rotate_options[] = {
    {"use", "USE", 0, "token (default), derived or rest"},
    {"kid", "KID", 0, "of the new key; default one is made up"},
    {"from", "FILE", 0, "raw octets of the new key instead of random ones; rest needs it"},
    {"kek-id", "ID", 0, "key encryption key to seal it with, if --kek is a folder of several"},
    {"without", "INSTANCE", CTL_REPEAT, "do not wait for this server or issuer"},
    {"finish", NULL, 0, "the newest active key is the new one: retire the older ones"},
    {"wait", "DURATION", 0, "at each step, for instances to report (default 60s)"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option rewrap_options[] = {
    {"realm", "REALM", 0, "this realm only"},
    {"force", NULL, 0, "although an instance does not report to hold the key encryption key"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option import_options[] = {
    {"apply", NULL, 0, "write; without it the list is all that happens"},
    {"default-realm", "REALM", 0, "realm of rows that name none: the realm= of turnserver.conf"},
    {"turnserver-conf", "FILE", 0, "also its user= and static-auth-secret= lines, and its realm="},
    {"add-realms", NULL, 0, "add realms that do not exist here, with the mechanisms they need"},
    {"truncate", NULL, 0, "cut too long oauth keys as coturn does"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option doctor_options[] = {
    {"server", "HOST[:PORT]", CTL_REPEAT, "also ask this TURN server whether it refuses strangers"},
    {"tls-server", "HOST[:PORT]", CTL_REPEAT, "the same over TLS, with a look at its certificate"},
    {"issuer", "HOST[:PORT]", CTL_REPEAT, "also ask this turncredd whether it is ready"},
    {"ca-file", "FILE", 0, "certificates to trust instead of the system's"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option wait_options[] = {CTL_WAIT_OPTION, {NULL, NULL, 0, NULL}};

static const struct ctl_option token_issue_options[] = {
    {"lifetime", "DURATION", 0, "default the realm's default ttl, at most its max ttl"},
    {"kid", "KID", 0, "sign with this active key instead of the newest"},
    {"session-key-octets", "20|32", 0, "20 (default), or 32 ready for MESSAGE-INTEGRITY-SHA256"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option credential_issue_options[] = {
    {"kind", "K", 0, "derived (default) or rest"},
    {"lifetime", "DURATION", 0, "default the realm's default ttl, at most its max ttl"},
    {"kid", "KID", 0, "use this active key instead of the newest"},
    {"uri", "URI", CTL_REPEAT, "turn: URI to pass on in the answer"},
    {"client-address", "ADDRESS", 0,
     "the only address that may use it, where the realm binds them"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option push_options[] = {
    {"password-file", "FILE", 0, "password: the first line, at least 16 octets; default a new one"},
    {"lifetime", "DURATION", 0, "default the realm's default ttl, at most its max ttl"},
    {"expiry", "TIME", 0, "instead of --lifetime"},
    {"no-expiry", NULL, 0, "valid until it is removed"},
    {"client-address", "ADDRESS", 0, "the only address that may use it"},
    {"kek-id", "ID", 0, "key encryption key to seal it with, if --kek is a folder of several"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option credential_list_options[] = {
    {"user", "USERNAME", 0, "this one only"},
    {"limit", "N", 0, "at most so many (default 1000)"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option revoke_options[] = {
    {"reason", "TEXT", 0, "kept with the revocation"},
    {"until", "TIME", 0, "ends by itself then; default: until lifted"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option revocation_list_options[] = {
    {"all", NULL, 0, "also those that have ended"}, {NULL, NULL, 0, NULL}};
static const struct ctl_option maintain_options[] = {
    {"keep-changes", "DURATION", 0, "of the change feed (default 7d)"},
    {"keep-issue-log", "DURATION", 0, "of the log of what was issued (default 90d)"},
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option caller_add_options[] = {
    {"scopes", "LIST", CTL_REQUIRED,
     "of token, exchange, derived, rest, push, revoke, metrics, stun-key, separated by commas"},
    {"realms", "LIST", CTL_REQUIRED, "names separated by commas; * for all"},
    {"certificate", "FILE", 0, "it shows this client certificate (PEM) instead of a key"},
    {"certificate-subject", "DN", 0,
     "it shows a client certificate with this subject (RFC 4514), whoever of turncredd's "
     "authorities signed it"},
    {"not-after", "TIME", 0, "when it ends (default: never)"},
    {NULL, NULL, 0, NULL},
};

const struct ctl_command ctl_commands[] = {
    {"schema upgrade", NULL, "Bring the database's schema up to date", schema_options,
     cmd_schema_upgrade,
     "Applies the numbered migrations that are missing, each in a transaction. Needs a role that\n"
     "may create schemas and roles the first time. Servers keep running meanwhile."},
    {"schema status", NULL, "Tell which migrations the database has", schema_options,
     cmd_schema_status, "Exit code 1 when the database is older or newer than this program."},
    {"realm add", "NAME", "Add a realm", realm_options, cmd_realm_add,
     "The server name is the realm's name unless it is given."},
    {"realm set", "NAME", "Change a realm's settings", realm_options, cmd_realm_set,
     "Only what is named changes. An option that may be repeated replaces the whole list; an\n"
     "empty value empties it."},
    {"realm list", NULL, "List realms", NULL, cmd_realm_list, NULL},
    {"realm show", "NAME", "Show one realm", NULL, cmd_realm_show, NULL},
    {"realm remove", "NAME", "Remove a realm", realm_remove_options, cmd_realm_remove,
     "Live sessions go on until they end by themselves; revoke realm NAME before ends them at "
     "once."},
    {"key add", "REALM [KID]", "Add a key: new octets, or imported ones", key_add_options,
     cmd_key_add,
     "In a realm that is in service use key rotate: an active key is signed with at once, perhaps\n"
     "before every server has it.\n"
     "Octets are taken as they are: a wrong length is refused, nothing is padded or cut. They are\n"
     "sealed under the key encryption key before they leave this program."},
    {"key list", "[REALM]", "List keys", NULL, cmd_key_list, NULL},
    {"key show", "REALM KID", "Show one key, without its octets", NULL, cmd_key_show, NULL},
    {"key set", "REALM KID", "Change a key's state or windows", key_set_options, cmd_key_set,
     "published: accepted, not signed with; active: both; retired: accepted until accept-until;\n"
     "disabled: neither, and sessions end."},
    {"key disable", "REALM KID", "Stop accepting a key at once, in an emergency", wait_options,
     cmd_key_disable, "Live sessions that were authenticated with it end."},
    {"key rotate", "REALM", "Replace the key that signs, without a refused login",
     key_rotate_options, cmd_key_rotate,
     "Publishes a new key of the same kind, waits until every registered server and issuer has\n"
     "it, lets issuers sign with it, waits again, and retires the old one: it is accepted until\n"
     "the last credential under it has run out. Whoever lags is named and the rotation stops\n"
     "there (exit code 5) without harm; calling it again goes on. Servers try four derived and\n"
     "four rest keys of a realm: a fifth one is refused until the first of them is no longer\n"
     "accepted. The key subject-tag stays as it is: with it issuers mark the subjects of\n"
     "tokens, so that users can renew over a rotation."},
    {"key remove", "REALM KID", "Remove a key", key_remove_options, cmd_key_remove,
     "Live sessions under it go on: key disable ends them, and a moment later it can be removed.\n"
     "The key subject-tag goes with --now only: with the next one, which the next token issue\n"
     "makes, every user is another one to the servers, so that allocations held now end at\n"
     "their deadline instead of being renewed (441)."},
    {"token issue", "REALM USER", "Issue an access token (RFC 7635)", token_issue_options,
     cmd_token_issue,
     "What was issued to whom is recorded, so that revoke user finds it. The first token of a\n"
     "realm also makes its key subject-tag, sealed as the signing key is."},
    {"credential issue", "REALM USER", "Issue a username and password with a time in them",
     credential_issue_options, cmd_credential_issue, NULL},
    {"credential push", "REALM USERNAME", "Give a user a credential that servers look up",
     push_options, cmd_credential_push,
     "Replaces the one that is there. The password itself is stored nowhere."},
    {"credential list", "[REALM]", "List pushed credentials", credential_list_options,
     cmd_credential_list, NULL},
    {"credential remove", "REALM USERNAME", "Remove a pushed credential", wait_options,
     cmd_credential_remove, "Live sessions go on; revoke user ends them."},
    {"revoke", "KIND REALM [NAME]", "Refuse a user, token, kid or realm and end its sessions",
     revoke_options, cmd_revoke,
     "KIND is user (NAME: user id, with all tokens and the pushed credential), token (NAME:\n"
     "fingerprint), kid (NAME: kid) or realm (no NAME)."},
    {"unrevoke", "KIND REALM [NAME]", "Lift a revocation", wait_options, cmd_unrevoke,
     "Credentials issued before stay dead; new ones work."},
    {"revocation list", "[REALM]", "List revocations in force", revocation_list_options,
     cmd_revocation_list, NULL},
    {"server list", NULL, "List TURN servers and issuers with their progress", NULL,
     cmd_server_list, NULL},
    {"server forget", "INSTANCE", "Forget a server that is gone for good", NULL, cmd_server_forget,
     NULL},
    {"caller add", "NAME", "Let a program ask turncredd for credentials", caller_add_options,
     cmd_caller_add,
     "Makes a bearer key of 256 random bits, shows it once, and stores its SHA-256."},
    {"caller list", NULL, "List the programs that may ask turncredd", NULL, cmd_caller_list, NULL},
    {"caller remove", "NAME", "Take a caller's rights away, within a second", NULL,
     cmd_caller_remove, NULL},
    {"maintain", NULL, "Housekeeping: drop old partitions, purge what has expired",
     maintain_options, cmd_maintain, "Run it daily; twice at once does no harm."},
    {"kek generate", "PATH", "Make a key encryption key: a new file of mode 0600", NULL,
     cmd_kek_generate,
     "The file's name is the key's id in the database. Copy the file to every TURN server and\n"
     "issuer over a safe way, and keep one copy away from the database's backups: who has both\n"
     "has all keys; who lost the file has lost the keys."},
    {"kek rewrap", "ID", "Seal every row anew under another key encryption key", rewrap_options,
     cmd_kek_rewrap,
     "--kek names a folder with the old and the new file; every server and issuer must have both\n"
     "until it is done. Servers go on meanwhile."},
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
     "  turncredctl token issue example.org alice --json |\n"
     "    turncredctl probe --server turn.example.org --credential -\n\n"
     "The peer listens on this host, so the server must be allowed to reach it: coturn refuses\n"
     "loopback peers with 403 unless it runs with allow-loopback-peers, which is for tests only."},
    {"doctor", NULL, "Look at everything and say what to do", doctor_options, cmd_doctor,
     "Database, schema, role, clocks, key encryption key, keys and their windows, servers and "
     "issuers,\n"
     "housekeeping. Exit code 1 when a check failed; warnings alone are 0."},
    {"import coturn", "CONNINFO", "Take over users, secrets and keys of a coturn database",
     import_options, cmd_import_coturn,
     "CONNINFO names coturn's own PostgreSQL database (psql-userdb), without a password. Nothing\n"
     "is changed there. turnusers_lt become pushed credentials without expiry, turn_secret rest\n"
     "keys, oauth_key token keys; quotas and origins go to the realm. Call it again at any time."},
    {"manual", NULL, "Print the manual page turncredctl(1)", NULL, cmd_manual, NULL},
    {"completion", "SHELL", "Print completion for a shell: bash", NULL, cmd_completion, NULL},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};
