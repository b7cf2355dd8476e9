# SPDX-License-Identifier: BSD-3-Clause
"""The patch series as rules: what scripts/port-patches does to a coturn tree, in order.

new(path)                       a new file, from files/ beside this one
cocci(path, rules, found)       Coccinelle rules; found says how often each text must be there
before/after(path, anchor, text)  text goes before or behind the only match of the anchor, a regular
                                expression in which a blank stands for any white space or none
A step that finds nothing, or too much, is reported; nothing is placed by guess.
"""


def new(path):
    return ("new", path)


def cocci(path, rules, found):
    return ("cocci", path, rules, found)


def before(path, anchor, text):
    return ("before", path, anchor, text)


def after(path, anchor, text):
    return ("after", path, anchor, text)


def if_there(step):
    """Trees from before a file existed need no step for it."""
    return ("if_there", step)


def if_said(word, step, path=None):
    """Trees whose file (path, or the step's own) does not have the word yet need no step for it."""
    return ("if_said", step, word, path or step[1])


def until(version, step):
    """Trees of this version and newer ones have it from upstream."""
    return ("until", step, version)


def if_listener_challenges(step):
    """4.16 and later answer unknown UDP sources in the listener, without a session."""
    return if_said("udp_stateless_nonce_fast_path", step, LISTENER)


# the newest version on which what the rules make was built and tested
TRIED = (4, 17, 1)

# the files of the host, from the ground up (no file calls one that stands after it), and the patch that adds each
FLOORS = {
    "auth_clock.c": "auth-module",
    "auth_call.c": "auth-module",
    "auth_text.c": "auth-module",
    "auth_options.c": "auth-module",
    "auth_report.c": "auth-report",
    "auth_peers.c": "auth-peers",
    "auth_state.c": "auth-session",
    "auth_stun.c": "auth-session",
    "auth_pending.c": "auth-pending",
    "auth_quota.c": "auth-session",
    "auth_grant.c": "auth-session",
    "auth_ask.c": "auth-session",
    "auth_form.c": "auth-session",
    "auth_observe.c": "auth-observe",
    "auth_listener.c": "auth-listener",
    "auth_session.c": "auth-session",
    "auth_host.c": "auth-module",
    "auth_load.c": "auth-module",
    "auth_module.c": "auth-module",
}


def files_of(patch, *headers):
    """The steps that add a patch's files."""
    names = [*headers, *(name for name, part in FLOORS.items() if part == patch)]
    return [new("src/apps/relay/" + name) for name in names]


LISTENER = "src/apps/relay/dtls_listener.c"
MAIN = "src/apps/relay/mainrelay.c"
CLI = "src/apps/relay/turn_admin_server.c"
README = "README.turnserver"
MAN = "man/man1/turnserver.1"
CONF = "examples/etc/turnserver.conf"

PATCHES = [
    (
        "0001-session-reports",
        "Option no-session-reports",
        """\
For every request but Binding and Send the relay threads describe the session to
the admin thread, even if neither the telnet CLI nor the web admin interface is
there to show it: a fifth of what an allocation costs. With --no-session-reports
they do not; the commands ps and pu then list nothing.""",
        [
            cocci("src/apps/relay/netengine.c", "reports.cocci", {"use_session_reports ?": 1}),
            after(
                "src/apps/relay/turn_admin_server.h",
                r"extern (int|bool) use_cli;\n",
                "\nextern int use_session_reports;\n",
            ),
            # here, because newer versions' unit tests link this file alone
            after(
                "src/apps/relay/netengine.c",
                r'#include "mainrelay\.h"\n',
                "\nint use_session_reports = 1;\n",
            ),
            before(
                MAIN,
                r'[ \t]*" -n\t+Do not use configuration file',
                r'''" --no-session-reports				Do not describe the sessions to the admin thread: cheaper, but\n"
"						the CLI and the web admin interface list no sessions.\n"
''',
            ),
            after(MAIN, r"\n\s*OAUTH_OPT,\n", "\tNO_SESSION_REPORTS_OPT,\n"),
            after(
                MAIN,
                r'[ \t]*\{ "oauth", optional_argument, NULL, OAUTH_OPT \},\n',
                '\t\t\t\t{ "no-session-reports", optional_argument, NULL, NO_SESSION_REPORTS_OPT },\n',
            ),
            before(
                MAIN,
                r"[ \t]*/\* these options have been already taken care of before: \*/\n\s*case 'l':\n\s*case NO_STDOUT",
                "\tcase NO_SESSION_REPORTS_OPT:\n"
                "\t\tuse_session_reports = !get_bool_value(value);\n\t\tbreak;\n\n",
            ),
            before(
                README,
                r"--server-relay\t\tServer relay\. NON-STANDARD",
                """\
--no-session-reports	Do not describe the sessions to the admin thread after every request.
			Cheaper, but the CLI and the web admin interface list no sessions.

""",
            ),
            before(
                MAN,
                r"\.TP\n\.B\n\\fB\\-\\-server\\-relay\\fP",
                r"""
.TP
.B
\fB\-\-no\-session\-reports\fP
Do not describe the sessions to the admin thread after every request.
Cheaper, but the CLI and the web admin interface list no sessions.
""".lstrip("\n"),
            ),
            before(
                CONF,
                r"#Local system IP address to be used for CLI server endpoint\.",
                """\
# Do not describe the sessions to the admin thread after every request. Cheaper,
# but the CLI and the web admin interface list no sessions.
#
#no-session-reports

""",
            ),
        ],
    ),
    (
        "0002-new-realm-count",
        "A realm that is new begins with no allocations",
        """\
A realm that is first named while the server runs gets a copy of the default
realm's parameters, and with it the default realm's number of allocations: its
total-quota was used up too early, by so many. This needs no module, and holds
without one.""",
        [
            after(
                "src/apps/relay/userdb.c",
                r"ret->status\.alloc_counters = ur_string_map_create\(NULL\);\n(?=\s*add_to_secrets_list)",
                "\t\t\tret->status.total_current_allocs = 0;\n",
            ),
        ],
    ),
    (
        "0003-auth-hooks",
        "Hooks where an authentication module takes part in a session",
        """\
One call per concern: the check itself (after the nonce is made, before
coturn's own checks), quota, the integrity of responses, mobility, denied peers,
the end of a session. turn_auth_hooks is NULL without a module, and every hook is
skipped then. Nothing that the server library calls is defined elsewhere.""",
        [
            new("src/server/ns_turn_auth_hooks.h"),
            cocci(
                "src/server/ns_turn_session.h",
                "session.cocci",
                {"struct auth_session *auth_session;": 1},
            ),
            cocci(
                "src/server/ns_turn_server.c",
                "hooks.cocci",
                {
                    "turn_auth_hooks->inc_quota(": 1,
                    "turn_auth_hooks->dec_quota(": 1,
                    "turn_auth_hooks->denied_peer(": 1,
                    "turn_auth_hooks->session_end(": 1,
                    "turn_auth_hooks->keeps(": 1,
                    "turn_auth_hooks->resume(": 1,
                    "turn_auth_hooks->check(": 1,
                    "session_add_integrity_str(": 4,
                },
            ),
            after(
                "src/server/ns_turn_server.c",
                r'#include "ns_turn_ioalib\.h"\n',
                '#include "ns_turn_auth_hooks.h"\n',
            ),
            after(
                "src/server/ns_turn_server.c",
                r"\Z",
                """
/* Authentication module ==>> */

const struct turn_auth_hooks *turn_auth_hooks = NULL;

const struct turn_auth_services turn_auth_services = {
	check_stun_auth, get_session_from_map, read_client_connection, dec_quota
};

/* <<== Authentication module */
""",
            ),
        ],
    ),
    (
        "0004-auth-module",
        "Load an authentication module and be its host",
        """\
coturn_auth_module.h is the interface. auth_load.c checks the module's file and
loads it, auth_host.c is what the module may call, auth_module.c starts and stops
it, auth_call.c is the gate of its calls. New files only; they are built from
0006 on.""",
        [
            new("src/apps/relay/coturn_auth_module.h"),
            *files_of("auth-module", "auth_module.h", "auth_options.h", "auth_private.h"),
        ],
    ),
    (
        "0005-auth-session",
        "The rules by which an authentication module takes part in a session",
        """\
auth_session.c has the order of checks and the hooks; it uses auth_ask.c, which
asks the module, auth_grant.c, which puts its grant in force, auth_stun.c,
auth_state.c, auth_form.c and auth_quota.c. Every answer comes at once.""",
        [
            *files_of("auth-session", "auth_exchange.h"),
            # 4.6.3 and 4.7.0; later ones count relay sockets instead, earlier ones nothing
            if_said(
                "global_allocation_count",
                after(
                    "src/apps/relay/userdb.h",
                    r"size_t global_allocation_count;\n",
                    "\n#define QUOTA_COUNTS_ALLOCATIONS /* whoever changes a quota changes that, too */\n",
                ),
            ),
        ],
    ),
    (
        "0006-auth-module-build",
        "Build the host of the authentication module",
        """\
Whichever files of the host are there are built, so that the patches that add a
part of it can be left out. dlopen() is linked from libdl where there is one.""",
        [
            after("configure", r"(?m)^testlib rt\n", "testlib dl\n"),
            after(
                "configure",
                r'\$\{ECHO_CMD\} "LDFLAGS \+= \$\{OSLIBS\}" >> Makefile\n',
                '${ECHO_CMD} "AUTH_MODS = `echo src/apps/relay/auth_*.c`" >> Makefile\n'
                '${ECHO_CMD} "AUTH_HEADERS = `echo src/apps/relay/*auth_*.h`" >> Makefile\n',
            ),
            after(
                "Makefile.in",
                r"SERVERTURN_HEADERS = (\S+ )*?src/server/ns_turn_session\.h",
                " src/server/ns_turn_auth_hooks.h",
            ),
            after("Makefile.in", r"SERVERAPP_HEADERS = src/apps/relay/userdb\.h", " ${AUTH_HEADERS}"),
            after("Makefile.in", r"SERVERAPP_MODS = src/apps/relay/mainrelay\.c", " ${AUTH_MODS}"),
            if_there(after("src/server/CMakeLists.txt", r"set\(HEADER_FILES\n", "    ns_turn_auth_hooks.h\n")),
            if_there(before(
                "src/apps/relay/CMakeLists.txt",
                r"set\(HEAD(ER)?_FILES\n",
                "file(GLOB AUTH_HEADERS *auth_*.h)\nfile(GLOB AUTH_FILES auth_*.c)\n\n",
            )),
            if_there(after(
                "src/apps/relay/CMakeLists.txt", r"set\(HEAD(ER)?_FILES\n", "    ${AUTH_HEADERS}\n"
            )),
            if_there(after("src/apps/relay/CMakeLists.txt", r"set\(SOURCE_FILES\n", "    ${AUTH_FILES}\n")),
            if_there(after(
                "src/apps/relay/CMakeLists.txt",
                r"PRIVATE turn_server \$\{turnserver_LIBS\}",
                " ${CMAKE_DL_LIBS}",
            )),
        ],
    ),
    (
        "0007-auth-module-options",
        "Options of the authentication module",
        """\
--auth-module, --auth-module-config, --auth-module-only and
--auth-module-observe, on the command line and in turnserver.conf.""",
        [
            after(MAIN, r'#include "dbdrivers/dbdriver\.h"\n', '#include "auth_module.h"\n'),
            before(
                MAIN,
                r'[ \t]*" -n\t+Do not use configuration file',
                r'''" --auth-module			<path>		Load an authentication module (absolute path of a shared object).\n"
"						It is asked before coturn's own users, secrets and databases.\n"
"						Needs --lt-cred-mech.\n"
" --auth-module-config		<string>	Passed to the authentication module as it is.\n"
" --auth-module-only				Whom the authentication module does not know is refused:\n"
"						no static users, no secrets, no user database of coturn's own.\n"
" --auth-module-observe				The authentication module is asked and its verdicts are counted\n"
"						and logged; coturn's own mechanisms decide.\n"
''',
            ),
            after(
                MAIN,
                r"\n\s*OAUTH_OPT,\n",
                "\tAUTH_MODULE_OPT,\n\tAUTH_MODULE_CONFIG_OPT,\n\tAUTH_MODULE_ONLY_OPT,\n"
                "\tAUTH_MODULE_OBSERVE_OPT,\n",
            ),
            after(
                MAIN,
                r'[ \t]*\{ "oauth", optional_argument, NULL, OAUTH_OPT \},\n',
                '\t\t\t\t{ "auth-module", required_argument, NULL, AUTH_MODULE_OPT },\n'
                '\t\t\t\t{ "auth-module-config", required_argument, NULL, AUTH_MODULE_CONFIG_OPT },\n'
                '\t\t\t\t{ "auth-module-only", optional_argument, NULL, AUTH_MODULE_ONLY_OPT },\n'
                '\t\t\t\t{ "auth-module-observe", optional_argument, NULL, AUTH_MODULE_OBSERVE_OPT },\n',
            ),
            before(
                MAIN,
                r"[ \t]*/\* these options have been already taken care of before: \*/\n\s*case 'l':\n\s*case NO_STDOUT",
                """\
	case AUTH_MODULE_OPT:
		auth_module_set_string(&auth_module_options.path, value);
		break;
	case AUTH_MODULE_CONFIG_OPT:
		auth_module_set_string(&auth_module_options.config, value);
		break;
	case AUTH_MODULE_ONLY_OPT:
		auth_module_options.only = get_bool_value(value);
		break;
	case AUTH_MODULE_OBSERVE_OPT:
		auth_module_options.observe = get_bool_value(value);
		break;

""",
            ),
            before(
                MAIN,
                r"[ \t]*if \(use_lt_credentials && anon_credentials\)",
                "\tif(auth_module_check_options(use_ltc && use_lt_credentials, anon_credentials) < 0)\n"
                "\t\texit(-1);\n\n",
            ),
            before(
                MAIN,
                r"[ \t]*openssl_setup\(\);\s*int local_listeners",
                "\tif(auth_module_load(procuserid_set ? procuserid : geteuid()) < 0)\n\t\texit(-1);\n\n",
            ),
            before(
                MAIN,
                r"[ \t]*setup_server\(\);",
                "\tif(auth_module_start() < 0)\n\t\texit(-1);\n\n",
            ),
            before(
                MAIN,
                r"[ \t]*drop_privileges\(\);",
                "\tauth_module_add_signals(turn_params.listener.event_base);\n\n",
            ),
            after(
                MAIN,
                r"run_listener_server\(&\(turn_params\.listener\)\);\n",
                "\n\tauth_module_stop();\n",
            ),
        ],
    ),
    (
        "0008-auth-pending",
        "The authentication module may answer later",
        """\
A request that the module answers with PENDING waits, with its packet, for
complete() from any thread, at most five seconds. Can be left out: every answer
then comes at once.""",
        files_of("auth-pending", "auth_pending.h"),
    ),
    (
        "0009-auth-report",
        "Counters of the authentication module, and the log of refusals",
        """\
Refusals by reason, one line each, 50 a second at most; counters of host and
module. Can be left out: nothing is then counted, and no refusal is logged.""",
        files_of("auth-report", "auth_report.h"),
    ),
    (
        "0010-auth-peers",
        "Peers that the authentication module denies",
        """\
A module can deny addresses as peers, such as that of its database; they are
denied in every form of the address. Can be left out: a module is then told that
its address is not denied, and may refuse to start.""",
        files_of("auth-peers", "auth_peers.h"),
    ),
    (
        "0011-auth-observe",
        "Ask an authentication module without obeying it",
        """\
auth-module-observe: coturn decides, the module is asked, and where they differ a
line is logged. Can be left out: the option is then refused.""",
        files_of("auth-observe", "auth_observe.h"),
    ),
    (
        "0012-auth-listener",
        "The authentication module makes the challenge of the UDP listener",
        """\
Where coturn challenges unknown sources without a session, the module is asked
for the challenge there, too. Can be left out: coturn's own challenge is then
sent, which offers no tokens.""",
        [
            *(if_listener_challenges(step) for step in files_of("auth-listener", "auth_listener.h")),
            # where every request that is left gets a challenge, or is refused as a session would
            if_listener_challenges(
                before(
                    LISTENER,
                    r"[ \t]*realm_options_t realm_options;\n",
                    """\
  if (turn_auth_hooks && turn_auth_hooks->listener_check) {
    ioa_network_buffer_handle answer = ioa_network_buffer_allocate(server->e);
    const enum turn_auth_listener made = turn_auth_hooks->listener_check(
        ts, nd, get_local_addr_from_ioa_socket(server->udp_listen_s), answer, enforce_fingerprints);
    if (made == TURN_AUTH_LISTENER_SEND) {
      udp_send_message(server, answer, &(nd->src_addr));
    }
    ioa_network_buffer_delete(server->e, answer);
    if (made != TURN_AUTH_LISTENER_COTURN) {
      return made != TURN_AUTH_LISTENER_SESSION;
    }
  }

""",
                ),
            ),
            if_listener_challenges(
                after(
                    LISTENER,
                    r'#include "dtls_listener\.h"\n',
                    '#include "ns_turn_auth_hooks.h"\n',
                ),
            ),
        ],
    ),
    (
        "0013-auth-module-cli",
        "Show the authentication module in the telnet CLI",
        "Command am: state and counters.",
        [
            after(CLI, r'#include "tls_listener\.h"\n', '#include "auth_module.h"\n'),
            before(
                CLI,
                r'[ \t]*"  lr - log reset",\n',
                '   "  am - print the authentication module\'s state and counters",\n   "",\n',
            ),
            before(
                CLI,
                r"static int run_cli_input\(",
                "static void print_auth_status(const char *key, const char *value, void *arg)\n{\n"
                '\tmyprintf((struct cli_session*)arg,"  %s: %s\\n",key,value);\n}\n\n',
            ),
            before(
                CLI,
                r'[ \t]*\} else if \(strstr\(cmd, "lr"\) == cmd\)',
                '\t\t\t} else if(!strcmp(cmd,"am")) {\n'
                "\t\t\t\tauth_module_status(print_auth_status,cs);\n"
                "\t\t\t\ttype_cli_cursor(cs);\n",
            ),
        ],
    ),
    (
        "0014-auth-module-docs",
        "Document the authentication module",
        "README, man page and sample configuration.",
        [
            before(
                README,
                r"--use-auth-secret\tTURN REST API flag",
                """\
--auth-module <path>	Load an authentication module: a shared object that implements
			coturn_auth_module.h, given by its absolute path. It is asked before
			coturn's own users, secrets and databases, and answers that it lets the
			client in, that it refuses it, or that it leaves it to coturn.
			Neither the file nor its folder may be writable by group or others, and
			both must belong to root or to the server's user. Needs --lt-cred-mech
			in the same configuration: a turnserver that does not know this option
			then refuses everybody instead of letting everybody in.
			SIGUSR2, which reloads the certificates, makes the module read its
			settings again, too. The telnet CLI's command am shows its state.
			Each refusal is counted by its reason and logged in one line (at most
			50 a second) that begins with "auth-module: refused client=".

--auth-module-config <string>	Passed to the authentication module as it is.

--auth-module-only	Whom the authentication module does not know is refused: no static
			users, no secrets and no user database of coturn's own. Cannot be
			used with --no-auth.

--auth-module-observe	The authentication module is asked and its verdict is counted and
			logged beside coturn's own, which decides. To try a module in service.

""",
            ),
            before(
                MAN,
                r"\.TP\n\.B\n\\fB\\-\\-use\\-auth\\-secret\\fP\nTURN REST API flag",
                r"""
.TP
.B
\fB\-\-auth\-module\fP <path>
Load an authentication module: a shared object that implements
coturn_auth_module.h, given by its absolute path. It is asked before
coturn's own users, secrets and databases, and answers that it lets the
client in, that it refuses it, or that it leaves it to coturn.
Neither the file nor its folder may be writable by group or others, and
both must belong to root or to the server's user. Needs \fB\-\-lt\-cred\-mech\fP
in the same configuration: a turnserver that does not know this option
then refuses everybody instead of letting everybody in.
SIGUSR2, which reloads the certificates, makes the module read its
settings again, too. The telnet CLI's command am shows its state.
Each refusal is counted by its reason and logged in one line (at most
50 a second) that begins with "auth\-module: refused client=".
.TP
.B
\fB\-\-auth\-module\-config\fP <string>
Passed to the authentication module as it is.
.TP
.B
\fB\-\-auth\-module\-only\fP
Whom the authentication module does not know is refused: no static
users, no secrets and no user database of coturn's own. Cannot be
used with \fB\-\-no\-auth\fP.
.TP
.B
\fB\-\-auth\-module\-observe\fP
The authentication module is asked and its verdict is counted and
logged beside coturn's own, which decides. To try a module in service.
""".lstrip("\n"),
            ),
            before(
                CONF,
                r"# 'Static' user accounts for the long term credentials mechanism, only\.\n",
                """\
# An authentication module: the absolute path of a shared object that implements
# coturn_auth_module.h. It is asked before coturn's own users, secrets and
# databases. Needs lt-cred-mech. Neither the file nor its folder may be writable
# by group or others.
#
#auth-module=/usr/lib/coturn/module.so

# Passed to the authentication module as it is.
#
#auth-module-config=

# Whom the authentication module does not know is refused: no static users, no
# secrets, no user database of coturn's own.
#
#auth-module-only

# The authentication module is asked, and its verdict is counted and logged beside
# coturn's own, which decides.
#
#auth-module-observe

""",
            ),
        ],
    ),
]

# The series in security/: faults of coturn that need no module. On 4.6.1 others stand beside these, written by hand.
SECURITY = [
    (
        "0001-oauth-token-nonce-length",
        "Check the nonce length of an OAuth access token",
        """\
decode_oauth_token_gcm() copied as many octets as the token says its nonce has
(up to 991) into an array of 256, before anything was authenticated. Refuse what
does not fit.""",
        [
            until((4, 10), cocci("src/client/ns_turn_msg.c", "token.cocci", {"token nonce is too long": 1})),
        ],
    ),
]

# what DEP-3 says of where a patch stands
NOT_FORWARDED = "Forwarded: no, needs the module interface, which has not been offered yet (patches/README.md)\n"
FIELDS = {
    "0001-session-reports": "Forwarded: no, not offered yet; needs no module (patches/README.md)\n",
    "0002-new-realm-count": "Forwarded: no, not offered yet; needs no module (patches/README.md)\n",
    "0001-oauth-token-nonce-length": """\
Forwarded: not-needed
Applied-Upstream: 4.10.0, 46368b3e
Bug-CVE: CVE-2026-43994
""",
}
