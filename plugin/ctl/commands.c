/*
 * commands.c - the table of all commands and options; help, completion and manual are made from it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "sql.h"

const struct ctl_option ctl_global_options[] = {
    {"database", "CONNINFO", 0, "libpq connection string or URI, without a password: use a passfile or service"},
    {"kek", "PATH", 0, "key encryption key: a file of 32 octets, or a folder of such files"},
    {"config", "FILE", 0, "configuration file instead of " SYSCONFDIR "/turncred/turncredctl.conf"},
    {"json", NULL, 0, "answer in JSON"},
    {"help", NULL, 0, "show this help"},
    {"version", NULL, 0, "show the version"},
    {NULL, NULL, 0, NULL},
};

#define TOKEN_KEY_OPTIONS                                                                                              \
  {"alg", "A", 0, "A256GCM (default), A128GCM or A256CBC-HS512"},                                                      \
      {"derivation", "D", 0, "none (default) or hkdf-sha256"},                                                         \
      {"key-file", "FILE", CTL_REQUIRED, "the shared key: raw octets"},                                                \
      {"server-name", "N", CTL_REQUIRED, "name of the TURN server that the token is bound to"}

static const struct ctl_option token_decode_options[] = {TOKEN_KEY_OPTIONS, {NULL, NULL, 0, NULL}};
static const struct ctl_option token_encode_options[] = {
    TOKEN_KEY_OPTIONS,
    {"mac-key-file", "FILE", CTL_REQUIRED, "session key: 20 or 32 raw octets"},
    {"timestamp", "N", 0, "64-bit number, seconds with 16 bits of fraction; default now"},
    {"lifetime", "N", CTL_REQUIRED, "seconds"},
    {"test-nonce", "HEX", 0, "nonce instead of a random one, for test vectors only: never use one nonce twice"},
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option derive_options[] = {
    {"kind", "K", 0, "derived (default) or rest"},
    {"alg", "A", 0, "rest: sha1 (default), sha256, sha384 or sha512"},
    {"username-format", "F", 0, "rest: timestamp:user-id (default), user-id:timestamp or either"},
    {"separator", "C", 0, "rest: character between time and user id (default :), as rest-api-separator of coturn"},
    {"key-file", "FILE", CTL_REQUIRED, "shared key: raw octets, 32 for derived, 1 to 1024 for rest"},
    {"realm", "R", CTL_REQUIRED, "realm of the TURN server"},
    {"user", "U", CTL_REQUIRED, "user id, without the expiry time; rest: empty for a username that is the time alone"},
    {"expiry", "N", CTL_REQUIRED, "end of the credential, in UTC seconds"},
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option probe_options[] = {
    {"server", "SERVER", CTL_REQUIRED,
     "TURN server: HOST, HOST:PORT, or a turn: or turns: URI; default port 3478, with TLS 5349"},
    {"transport", "T", 0, "udp, tcp, dtls or tls (default: what the URI says, else udp)"},
    {"ca-file", "FILE", 0, "TLS, DTLS: trust these certificates instead of the system's"},
    {"tls-name", "NAME", 0, "TLS, DTLS: name in the certificate, if it is not the one in --server"},
    {"insecure", NULL, 0, "TLS, DTLS: do not check the certificate"},
    {"credential", "FILE", 0, "JSON of token issue or credential issue; - is standard input"},
    {"kid", "KID", 0, "key id of the token"},
    {"token-file", "FILE", 0, "access token in base64"},
    {"key-file", "FILE", 0, "session key of the token: raw octets"},
    {"user", "NAME", 0, "username"},
    {"password-file", "FILE", 0, "password: the file's first line; - is standard input"},
    {"secret-file", "FILE", 0,
     "make the password of --user from this TURN REST secret (raw octets), whatever its form"},
    {"alg", "A", 0, "hash with --secret-file: sha1 (default), sha256, sha384 or sha512"},
    {"eager", NULL, 0, "show the token in the very first request"},
    {"announce", NULL, 0, "say in the first request that this client supports tokens"},
    {"origin", "ORIGIN", 0, "ORIGIN attribute of the requests; it chooses the realm on some servers"},
    {"allocate-only", NULL, 0, "end after Allocate: no permission, no data, no refresh"},
    {"renew", "FILE", 0, "JSON of a second credential, which a Refresh of the allocation shows"},
    {"keep", "DURATION", 0, "keep the allocation for this long, relaying data and refreshing"},
    {"refresh-every", "DURATION", 0, "time between refreshes under --keep (default half the lifetime)"},
    {"lifetime", "DURATION", 0, "lifetime to ask for (default: the server chooses)"},
    {"count", "N", 0, "datagrams in each direction (default 1)"},
    {"data-bytes", "N", 0, "octets in a datagram, 4 to 1400 (default 100)"},
    {"peer-address", "ADDRESS[:PORT]", 0, "where the probe's own peer listens (default: an address of this host)"},
    {"local-address", "ADDRESS", 0, "local address to send from"},
    {"family", "4|6", 0, "address family of the relayed address to ask for"},
    {"timeout", "DURATION", 0, "longest wait for an answer (default 39.5 s, RFC 8489)"},
    {"expect-error", "CODE", 0, "succeed only if the probe ends with this STUN error"},
    {NULL, NULL, 0, NULL},
};

#define CSV_OPTION                                                                                                     \
  {"csv", NULL, 0,                                                                                                     \
   "answer in CSV (RFC 4180, UTF-8); text that a spreadsheet would take for a formula gets an apostrophe"}

static const struct ctl_option session_list_options[] = {
    {"user", "USER", 0, "of this user alone"},
    {"server", "INSTANCE", 0, "on this server alone"},
    {"limit", "N", 0, "the oldest N"},
    CSV_OPTION,
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option usage_options[] = {
    {"user", "USER", 0, "of this user alone"},
    {"since", "TIME", 0, "from this day on (default: 30 days ago)"},
    {"until", "TIME", 0, "up to this day (default: today)"},
    CSV_OPTION,
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option schema_options[] = {
    {"directory", "DIR", 0, "folder of the numbered SQL files (default: the installed one)"},
    {NULL, NULL, 0, NULL},
};

#define REALM_OPTIONS                                                                                                  \
  {"server-name", "N", 0, "name of the TURN server in tokens and challenges"},                                         \
      {"mechanisms", "M,M...", 0, "of token, derived, rest, pushed, in the order that servers try them"},              \
      {"expiry-token", "P", 0, "strict (default), grace or allocate"},                                                 \
      {"expiry-derived", "P", 0, "strict, grace or allocate (default)"},                                               \
      {"expiry-rest", "P", 0, "strict, grace or allocate (default)"},                                                  \
      {"expiry-pushed", "P", 0, "strict, grace or allocate (default)"},                                                \
      {"grace", "DURATION", 0,                                                                                         \
       "how long an allocation may outlive its credential under the policy grace (default 60s)"},                      \
      {"max-ttl", "DURATION", 0, "longest lifetime of a credential (default 1d)"},                                     \
      {"default-ttl", "DURATION", 0, "lifetime of a credential for which none is asked (default 1h)"},                 \
      {"user-quota", "N", 0, "allocations that one user may have; 0: as the server is configured"},                    \
      {"total-quota", "N", 0, "allocations that the realm may have; 0: as the server is configured"},                  \
      {"quota-scope", "SCOPE", 0,                                                                                      \
       "server (default): each counts --user-quota by itself; fleet: with those on other servers, seconds late"},      \
      {"keys-tried", "N", 0, "accepted derived and rest keys that servers try for a login, 1 to 256 (default 16)"},    \
      {"max-bps", "N", 0, "octets per second of one session; 0: as the server is configured"},                         \
      {"at-rest", "A", 0, "sealed (default), or plain for programs that write rows with SQL and cannot seal"},         \
      {"kek-id", "ID", 0, "key encryption key that seals the realm's new rows; empty: the only one of --kek"},         \
      {"subject-tag", "yes|no", 0, "new token keys mark tokens with a tag of their subject"},                          \
      {"bind-address", "yes|no", 0, "derived credentials are bound to the client's address"},                          \
      {"guest-kid", "REALM/KID", CTL_REPEAT, "key of another realm that this realm accepts, too"},                     \
      {"listen-address", "ADDRESS", CTL_REPEAT, "local address whose challenges name this realm"},                     \
      {"origin", "ORIGIN", CTL_REPEAT, "ORIGIN whose challenges name this realm"},                                     \
      {"allowed-peers", "CIDR,CIDR...", CTL_REPEAT,                                                                    \
       "networks or addresses to which sessions may relay, and to no other; empty: to any"},                           \
      {"denied-peers", "CIDR,CIDR...", CTL_REPEAT,                                                                     \
       "networks or addresses to which sessions may not relay, even if they are allowed"},                             \
      {"offer-tokens", "WHEN", 0, "always (default), or shown: to clients alone that send THIRD-PARTY-AUTHORIZATION"}, \
      {"usage", "LEVEL", 0, "what is recorded of sessions: off (default), totals, user, or address"},                  \
      {"retention-days", "DAYS", 0, "how long sessions and the subjects of issue_log are kept (default 30)"},          \
      {"foreign-caller", "NAME", 0,                                                                                    \
       "realm of a foreign TURN server: this caller may fetch its keys, servers of this database "                     \
       "get none"},                                                                                                    \
      {"uri", "URI", CTL_REPEAT, "turn: or turns: URI that turncredd hands out (default: from --server-name)"}

static const struct ctl_option realm_options[] = {REALM_OPTIONS, CTL_EVEN_IF_OLD_OPTION, {NULL, NULL, 0, NULL}};
static const struct ctl_option realm_remove_options[] = {
    {"with-contents", NULL, 0, "also remove its keys and pushed credentials"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};

#define KEY_LIMIT_OPTIONS                                                                                              \
  {"max-bps", "N", 0, "octets per second of a session with a credential under the key; 0: as the realm has it"},       \
      {"max-allocations", "N", 0, "allocations of a user that comes with one; 0: as the realm has it"}
static const struct ctl_option key_add_options[] = {
    {"use", "USE", 0, "token (default), derived or rest"},
    {"alg", "A", 0,
     "token: A256GCM (default), A128GCM, A256CBC-HS512; rest: sha1 (default), "
     "sha256, sha384, sha512"},
    {"derivation", "D", 0, "token: none (default) or hkdf-sha256"},
    {"username-format", "F", 0, "rest: timestamp:user-id (default), user-id:timestamp or either"},
    {"separator", "C", 0, "rest: character between time and user id (default :), as rest-api-separator of coturn"},
    {"from", "FILE", 0, "take the raw octets of this file (-: standard input) instead of random ones"},
    {"save", "FILE", 0, "also write the octets into this new file, for a program that shares the key"},
    {"state", "S", 0, "active (default), or published: servers accept it, issuers do not sign with it yet"},
    {"not-before", "TIME", 0, "no server accepts the key before this time"},
    {"sign-until", "TIME", 0, "no issuer signs with the key from this time on"},
    {"accept-until", "TIME", 0, "no server accepts the key from this time on"},
    {"kek-id", "ID", 0, "key encryption key to seal it with, if --kek is a folder of several"},
    {"subject-tag", "yes|no", 0, "token: mark tokens with a tag of their subject (default: as the realm says)"},
    {"allow-zero-iv", NULL, 0, "A256CBC-HS512: also accept tokens without a nonce, the literal form of RFC 7635"},
    KEY_LIMIT_OPTIONS,
    CTL_WAIT_OPTION,
    CTL_EVEN_IF_OLD_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option key_set_options[] = {
    {"state", "S", 0, "published, active, retired or disabled"},
    {"not-before", "TIME", 0, "no server accepts the key before this time; open: no such limit"},
    {"sign-until", "TIME", 0, "no issuer signs with the key from this time on; open: no such limit"},
    {"accept-until", "TIME", 0, "no server accepts the key from this time on; open: no such limit"},
    KEY_LIMIT_OPTIONS,
    CTL_WAIT_OPTION,
    CTL_EVEN_IF_OLD_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option key_remove_options[] = {
    {"now", NULL, 0, "although servers still accept credentials under the key"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option key_rotate_options[] = {
    {"use", "USE", 0, "token (default), derived or rest"},
    {"kid", "KID", 0, "KID of the new key (default: use, day and random digits)"},
    {"from", "FILE", 0, "raw octets of the new key instead of random ones; a rest key needs them"},
    {"kek-id", "ID", 0, "key encryption key to seal it with, if --kek is a folder of several"},
    {"without", "INSTANCE", CTL_REPEAT, "do not wait for this server or issuer"},
    {"also", "KID", CTL_REPEAT, "retire this key, too, though it was imported: whoever signs with it must know"},
    {"finish", NULL, 0, "take the newest active key for the new one, and retire the older ones"},
    {"wait", "DURATION", 0, "longest wait at each step for instances to report (default 60s)"},
    CTL_EVEN_IF_OLD_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option rewrap_options[] = {
    {"realm", "REALM", 0, "only rows of this realm"},
    {"force", NULL, 0, "even if an instance does not report that it holds the key encryption key"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option import_options[] = {
    {"apply", NULL, 0, "write; without this option everything is done and then rolled back, and the list is printed"},
    {"turnserver-conf", "FILE", 0, "coturn's turnserver.conf: its users, secrets and realm, and where its database is"},
    {"turnserver-cmdline", "FILE", 0, "options of coturn's command line, as /proc/PID/cmdline has them or one a line"},
    {"default-realm", "REALM", 0, "realm of rows that name none (default: the realm= of --turnserver-conf)"},
    {"add-realms", NULL, 0, "add realms that do not exist here, with the mechanisms they need"},
    {"truncate", NULL, 0, "cut oauth keys that are too long, as coturn does"},
    {"username-format", "F", 0,
     "user names under imported secrets: timestamp:user-id (default), user-id:timestamp or either"},
    {"only-used", NULL, 0, "leave out what coturn does not take, as turnserver.conf has it"},
    CTL_EVEN_IF_OLD_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option doctor_options[] = {
    {"server", "SERVER", CTL_REPEAT, "also check that this TURN server refuses users that do not exist"},
    {"tls-server", "SERVER", CTL_REPEAT, "the same over TLS, and check its certificate"},
    {"issuer", "ISSUER", CTL_REPEAT, "also check that this turncredd is ready"},
    {"ca-file", "FILE", 0, "trust these certificates instead of the system's"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option wait_options[] = {CTL_WAIT_OPTION, {NULL, NULL, 0, NULL}};
static const struct ctl_option drain_options[] = {CTL_EVEN_IF_OLD_OPTION, CTL_WAIT_OPTION, {NULL, NULL, 0, NULL}};

static const struct ctl_option token_issue_options[] = {
    {"lifetime", "DURATION", 0, "lifetime, at most the realm's max ttl (default: the realm's default ttl)"},
    {"kid", "KID", 0, "sign with this active key instead of the newest"},
    {"session-key-octets", "20|32", 0, "20 (default), or 32, which also suit MESSAGE-INTEGRITY-SHA256"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option credential_issue_options[] = {
    {"kind", "K", 0, "derived (default) or rest"},
    {"lifetime", "DURATION", 0, "lifetime, at most the realm's max ttl (default: the realm's default ttl)"},
    {"kid", "KID", 0, "use this active key instead of the newest"},
    {"uri", "URI", CTL_REPEAT, "turn: URI to put into the answer"},
    {"client-address", "ADDRESS", 0, "the only address that may use the credential, in a realm with bind-address"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option push_options[] = {
    {"user", "USER", 0, "whose credential it is (default: USERNAME); one user may have several, one for each device"},
    {"password-file", "FILE", 0, "password: the file's first line, at least 16 octets (default: a random one)"},
    {"lifetime", "DURATION", 0, "lifetime, at most the realm's max ttl (default: the realm's default ttl)"},
    {"expiry", "TIME", 0, "end of the credential, instead of --lifetime"},
    {"no-expiry", NULL, 0, "the credential is valid until it is removed"},
    {"client-address", "ADDRESS", 0, "the only address that may use the credential"},
    {"max-bps", "N", 0, "octets per second of a session with the credential; 0: as the realm has it"},
    {"max-allocations", "N", 0, "allocations of its user beyond which it lets nobody in; 0: as the realm has it"},
    {"kek-id", "ID", 0, "key encryption key to seal it with, if --kek is a folder of several"},
    CTL_WAIT_OPTION,
    CTL_EVEN_IF_OLD_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option credential_list_options[] = {
    {"user", "USER", 0, "only the credentials of this user, those of all devices"},
    {"limit", "N", 0, "list at most this many (default 1000)"},
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option revoke_options[] = {
    {"reason", "TEXT", 0, "text that is stored with the revocation"},
    {"until", "TIME", 0, "end of the revocation (default: it holds until it is lifted)"},
    CTL_WAIT_OPTION,
    {NULL, NULL, 0, NULL},
};
static const struct ctl_option revocation_list_options[] = {{"all", NULL, 0, "also list revocations that have ended"},
                                                            {NULL, NULL, 0, NULL}};
static const struct ctl_option maintain_options[] = {
    {"keep-changes", "DURATION", 0, "keep the change feed for this long (default 7d)"},
    {"keep-issue-log", "DURATION", 0, "keep the log of issued credentials so long (default 90d), max_ttl at least"},
    {NULL, NULL, 0, NULL},
};

static const struct ctl_option caller_add_options[] = {
    {"scopes", "LIST", CTL_REQUIRED,
     "of token, exchange, derived, rest, push, revoke, metrics, stun-key, separated by commas"},
    {"realms", "LIST", CTL_REQUIRED, "realms that the caller may ask for, separated by commas; * for all"},
    {"certificate", "FILE", 0, "the caller shows this client certificate (PEM) instead of a key"},
    {"certificate-subject", "DN", 0,
     "the caller shows a client certificate with this subject (RFC 4514), signed by any "
     "authority that turncredd trusts"},
    {"not-after", "TIME", 0, "end of the caller's rights (default: never)"},
    {NULL, NULL, 0, NULL},
};

const struct ctl_command ctl_commands[] = {
    {"schema upgrade", NULL, "Install the database schema, or upgrade it", schema_options, cmd_schema_upgrade,
     "Applies the numbered migrations that the database lacks, each in a transaction. The first "
     "time\n"
     "the database role must be allowed to create schemas and roles. Servers keep running\n"
     "meanwhile."},
    {"schema status", NULL, "Show which migrations the database has", schema_options, cmd_schema_status,
     "Exit code 1 when the database is older or newer than this program."},
    {"realm add", "NAME", "Add a realm", realm_options, cmd_realm_add,
     "Without --server-name the realm's name is the server name, too."},
    {"realm set", "NAME", "Change a realm's settings", realm_options, cmd_realm_set,
     "Only settings that an option names change. An option that may be repeated replaces the "
     "whole\n"
     "list; an empty value empties the list."},
    {"realm list", NULL, "List realms", NULL, cmd_realm_list, NULL},
    {"realm show", "NAME", "Show one realm", NULL, cmd_realm_show, NULL},
    {"realm remove", "NAME", "Remove a realm", realm_remove_options, cmd_realm_remove,
     "Live sessions go on until they end by themselves. To end them at once, call revoke realm "
     "NAME\n"
     "first."},
    {"key add", "REALM [KID]", "Add a key: random octets, or those of a file", key_add_options, cmd_key_add,
     "In a realm that is in service use key rotate: issuers sign with an active key at once, "
     "perhaps\n"
     "before every server has the key.\n"
     "The octets of a file are taken as they are: a wrong length is refused, nothing is padded or\n"
     "cut. turncredctl seals the octets under the key encryption key before they leave the "
     "program.\n\n"
     "A rest secret is text of up to 1024 octets, as other TURN REST servers have it; a long one\n"
     "is hashed, as HMAC does. Its usernames have one order and one separator. A username that is\n"
     "the time alone, as Prosody and Jitsi write it, is accepted in every order; quota and\n"
     "revocation then know the user by the whole name. either is for a secret that signs both\n"
     "orders: accepted is what can be read in one way only, so that no user id of digits becomes\n"
     "an expiry; issuers write the time first."},
    {"key list", "[REALM]", "List keys", NULL, cmd_key_list, NULL},
    {"key show", "REALM KID", "Show one key, without its octets", NULL, cmd_key_show, NULL},
    {"key set", "REALM KID", "Change a key's state, times or limits", key_set_options, cmd_key_set,
     "published: servers accept the key, issuers do not sign with it; active: servers accept the "
     "key\n"
     "and issuers sign with it; retired: servers accept the key until accept-until; disabled: no\n"
     "server accepts the key, and sessions under it end. Of a limit of the key and one of the realm\n"
     "the stricter one holds; sessions that live keep theirs until their next grant."},
    {"key disable", "REALM KID", "Stop accepting a key at once, in an emergency", wait_options, cmd_key_disable,
     "Live sessions that were authenticated with the key end."},
    {"key rotate", "REALM", "Replace the key that signs, without a refused login", key_rotate_options, cmd_key_rotate,
     "Publishes a new key of the same kind, waits until every registered server and issuer has\n"
     "the key, lets issuers sign with it, waits again, and retires the old key: servers accept it\n"
     "until the last credential under it has run out. If a server or issuer lags, the rotation\n"
     "names it and stops without harm (exit code 5); calling the command again continues. Keys\n"
     "that were imported stay as they are, since other programs sign with them; --also names those\n"
     "that retire, too. Servers try as many derived and rest keys of a realm as its --keys-tried\n"
     "says (16): one more is refused until servers no longer accept the first of them.\n"
     "The newest key signs: the one whose not-before or, if that is later, time of creation is the\n"
     "last. The key subject-tag is not rotated: with it issuers mark the\n"
     "subjects of tokens, so that users can renew an allocation after a rotation."},
    {"key remove", "REALM KID", "Remove a key", key_remove_options, cmd_key_remove,
     "Live sessions under the key go on. key disable ends them; a moment later the key can be\n"
     "removed. The key subject-tag is only removed with --now: the next token issue makes another\n"
     "such key, under which servers take every user for a new one, so that allocations held now "
     "end\n"
     "at their deadline instead of being renewed (441)."},
    {"token issue", "REALM USER", "Issue an access token (RFC 7635)", token_issue_options, cmd_token_issue,
     "Each token is recorded with its user, so that revoke user finds the token. The first token "
     "of\n"
     "a realm also makes the realm's key subject-tag, sealed as the signing key is."},
    {"credential issue", "REALM USER", "Issue a username and password with a time in them", credential_issue_options,
     cmd_credential_issue, NULL},
    {"credential push", "REALM USERNAME", "Store a user's credential, which servers look up", push_options,
     cmd_credential_push,
     "Replaces the earlier credential of this USERNAME. The password itself is stored nowhere. Quota and revocation\n"
     "go by the user."},
    {"credential list", "[REALM]", "List pushed credentials", credential_list_options, cmd_credential_list, NULL},
    {"credential remove", "REALM USERNAME", "Remove a pushed credential", wait_options, cmd_credential_remove,
     "Live sessions go on; revoke user ends them."},
    {"revoke", "KIND REALM [NAME]", "Refuse a user, token, kid or realm and end its sessions", revoke_options,
     cmd_revoke,
     "KIND is user (NAME: user id, with all tokens and pushed credentials), token (NAME:\n"
     "fingerprint), kid (NAME: kid) or realm (no NAME)."},
    {"unrevoke", "KIND REALM [NAME]", "Lift a revocation", wait_options, cmd_unrevoke,
     "Credentials from before the revocation stay refused; new ones work."},
    {"revocation list", "[REALM]", "List revocations in force", revocation_list_options, cmd_revocation_list, NULL},
    {"server list", NULL, "List TURN servers and issuers, and how current they are", NULL, cmd_server_list,
     "VERSION is that of the module or of turncredd, SERIES that of the patches in the TURN server, ABI the\n"
     "magic of the interface between the two, SCHEMA the newest schema whose values the program can use."},
    {"server drain", "INSTANCE", "Let no new clients in at a server, whose calls go on", drain_options,
     cmd_server_drain,
     "Clients are sent to a sibling that advertises its URIs, and issuers name the server no more. SESSIONS of server "
     "list\n"
     "are those that are left. The server stays drained, also when it is started again, until server undrain."},
    {"server undrain", "INSTANCE", "Let new clients in again at a server that was drained", wait_options,
     cmd_server_undrain, NULL},
    {"server forget", "INSTANCE", "Forget a server or issuer that is gone for good", NULL, cmd_server_forget,
     "Nobody waits for it any more. An instance that has stopped in an orderly way has said so, and is not waited "
     "for."},
    {"caller add", "NAME", "Allow a program to ask turncredd for credentials", caller_add_options, cmd_caller_add,
     "Makes a bearer key of 256 random bits, shows the key once, and stores its SHA-256."},
    {"caller list", NULL, "List programs that may ask turncredd for credentials", NULL, cmd_caller_list, NULL},
    {"caller remove", "NAME", "Withdraw a caller's rights, within a second", NULL, cmd_caller_remove, NULL},
    {"session list", "[REALM]", "List allocations that live, of realms with --usage", session_list_options,
     cmd_session_list, "What they have used may be as old as usage_interval of their server."},
    {"session show", "SESSION", "Show one allocation", NULL, cmd_session_show, NULL},
    {"session end", "SESSION", "End one allocation, on whatever server it is", wait_options, cmd_session_end,
     "Nobody is barred: the client may allocate again. To bar a user, revoke."},
    {"usage", "[REALM]", "Sessions, seconds and octets by day and user", usage_options, cmd_usage,
     "A session counts on the day (UTC) on which it ended. LOST counts those whose server died: their octets are those "
     "of its last report."},
    {"user forget", "REALM USER", "Remove a user id from what is recorded of sessions and issued credentials", NULL,
     cmd_user_forget, "Rows stay, without the user. A hash stays by which revoke finds the user's tokens."},
    {"maintain", NULL, "Drop old partitions, and purge credentials and revocations that have ended", maintain_options,
     cmd_maintain,
     "Run this command daily. Two runs at the same time do no harm. It also removes sessions and subjects that are "
     "older\n"
     "than their realm keeps them (realm set --retention-days), and counts sessions as lost whose server never came "
     "back."},
    {"kek generate", "PATH", "Make a key encryption key: a new file of mode 0600", NULL, cmd_kek_generate,
     "The file's name is the key's id in the database. Folders that are missing are made: the one\n"
     "that holds the file with mode 0700, those above it with mode 0755. Copy the file to every "
     "TURN\n"
     "server and issuer over a safe way, and keep one copy away from the database's backups: file "
     "and\n"
     "backup together give every key away, and without the file every key is lost."},
    {"kek rewrap", "ID", "Seal all rows anew under another key encryption key", rewrap_options, cmd_kek_rewrap,
     "--kek names a folder with the old and the new file. Every server and issuer must have both "
     "files\n"
     "until the command has ended. Servers keep running meanwhile."},
    {"token decode", NULL, "Decrypt an access token, base64 on standard input", token_decode_options, cmd_token_decode,
     "Shows the contents of the token, also if the token has expired."},
    {"token encode", NULL, "Make an access token from given parts", token_encode_options, cmd_token_encode,
     "For tests and for comparing implementations. token issue makes tokens for use."},
    {"credential derive", NULL, "Compute a username and password from a shared key", derive_options,
     cmd_credential_derive, NULL},
    {"probe", NULL, "Act as a TURN client, and show how far it gets", probe_options, cmd_probe,
     "The probe sends Allocate, CreatePermission, data through the relay to a peer of its own and\n"
     "back, first in indications, then over a channel, then Refresh, and releases the allocation. "
     "It\n"
     "checks MESSAGE-INTEGRITY of every answer with the full key. Example:\n\n"
     "  turncredctl token issue example.org alice --json |\n"
     "    turncredctl probe --server turn.example.org --credential -\n\n"
     "SERVER is a name or an address, with or without a port, or a turn:, turns: or stun: URI as it\n"
     "stands in iceServers. Each address of a name is tried until one answers; the others are shown\n"
     "as passed over. The peer has an address of the same family as the relayed address.\n\n"
     "The peer listens on this host, so the server must be allowed to reach it: coturn refuses\n"
     "loopback peers with 403 unless it runs with allow-loopback-peers, which is for tests only."},
    {"doctor", NULL, "Check the whole installation, and say what to do", doctor_options, cmd_doctor,
     "Checks database, schema, role, clocks, key encryption key, keys and their times, servers,\n"
     "issuers and housekeeping. Servers and issuers are asked at each address of their name: an address\n"
     "that does not answer is a warning, and a failure if none does. SERVER is HOST, HOST:PORT or a turn: or turns:\n"
     "URI; ISSUER is HOST, HOST:PORT or https://HOST:PORT. The exit code is 1 if a check failed, 0 if there\n"
     "are only warnings."},
    {"import coturn", "[SOURCE]", "Import users, secrets and keys from coturn", import_options, cmd_import_coturn,
     "Without SOURCE the database is the one that turnserver.conf names (psql-userdb, userdb), or coturn's\n"
     "default. SOURCE names another one: a connection string of PostgreSQL without a password, or the path\n"
     "of a SQLite file. Nothing is changed there. Rows of turnusers_lt and lines user= become pushed\n"
     "credentials without expiry, rows of turn_secret and lines static-auth-secret= rest keys, rows of\n"
     "oauth_key token keys, with which issuers do not sign; quotas, origins and denied peer ranges become\n"
     "settings of the realm. The command can be called again at any time.\n"
     "The list has a line for each of them. LOST is yes where something works with coturn today and would\n"
     "not work afterwards; the exit code is then 7. It is 1 if rows were left out that coturn does not take\n"
     "either."},
    {"manual", NULL, "Print the manual page turncredctl(1)", NULL, cmd_manual, NULL},
    {"completion", "SHELL", "Print completion for a shell: bash", NULL, cmd_completion, NULL},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};
