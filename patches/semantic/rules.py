# SPDX-License-Identifier: BSD-3-Clause
"""The patch series as rules: what scripts/port-patches does to a coturn tree, in order.

new(path)                       a new file, from files/ beside this one
cocci(path, rules, found)       Coccinelle rules; found says how often each text must be there
before/after/instead(path, anchor, text)  text goes before or behind the only match of the anchor, or takes its place;
                                the anchor is a regular expression in which a blank stands for any white space or none
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


def instead(path, anchor, text):
    return ("instead", path, anchor, text)


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
    "auth_usage.c": "auth-usage",
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


def only_with_redis(word):
    """The block for Redis that has the word is entered only if there is a Redis."""
    block = r"#if !defined\(TURN_NO_HIREDIS\)\n(?= [^{]*\{ char key\[1024\];(?:(?!#endif)[\s\S])*?" + word + ")"
    return after("src/apps/relay/ns_ioalib_engine_impl.c", block, "\t\t\t\tif (e && e->rch)\n")


SERVER = "src/server/ns_turn_server.c"
NETENGINE = "src/apps/relay/netengine.c"
LISTENER = "src/apps/relay/dtls_listener.c"
MAIN = "src/apps/relay/mainrelay.c"
CLI = "src/apps/relay/turn_admin_server.c"
LOG = "src/apps/common/ns_turn_utils.c"
README = "README.turnserver"
MAN = "man/man1/turnserver.1"
CONF = "examples/etc/turnserver.conf"

PATCHES = [
    (
        "0001-session-reports",
        "A session is described when somebody looks",
        """\
For every request but Binding and Send a relay thread described the session to
the admin thread, even if neither the telnet CLI nor the web admin interface was
there to show it: half of what an allocation cost. Now a session that has news is
noted in a list of its server. Whoever shows sessions asks the relay threads,
which then describe the noted ones, a few at a time, so that no packet waits. The
end of a session is told at once if the admin thread knows it. Where nobody
listens nothing is noted. This needs no module, and holds without one.""",
        [
            before(
                "src/server/ns_turn_session.h",
                r"struct _ts_ur_super_session \{",
                """\
/* A session in its server's list of those with news for the admin thread; next is NULL outside it. */
struct turn_session_news {
	struct turn_session_news *next, *prev;
	struct _ts_ur_super_session *session;
	int told; /* the admin thread has been told of the session */
	/* what the session had received and sent when it was noted */
	uint32_t received_packets, received_bytes, sent_packets, sent_bytes;
};

""",
            ),
            after(
                "src/server/ns_turn_session.h",
                r"struct _ts_ur_super_session \{ void ?\* ?server;[ \t]*\n",
                "  struct turn_session_news news;\n",
            ),
            after(
                "src/server/ns_turn_server.h",
                r"send_turn_session_info_cb send_turn_session_info;\n",
                """\
	/* Sessions with news for the admin thread, and how many of them it has asked for and not got yet: */
	struct turn_session_news news;
	size_t news_number, news_due;
	int news_told_now;
""",
            ),
            before(
                "src/server/ns_turn_server.h",
                r"int report_turn_session_info\(turn_turnserver ?\*",
                """\
/* Whether anybody can see what sessions there are. Set before the relay threads begin. */
extern int turn_session_readers;
/* Describes up to max sessions that had news when this was first called; whether there are more. Relay thread only. */
int turn_server_tell_news(turn_turnserver *server, size_t max);
""",
            ),
            before(
                SERVER,
                r"int report_turn_session_info\(turn_turnserver ?\*server,",
                """\
int turn_session_readers = 0;

static void no_session_news(turn_turnserver *server, ts_ur_super_session *ss)
{
	struct turn_session_news *news = &(ss->news);
	if(news->next) {
		news->next->prev = news->prev;
		news->prev->next = news->next;
		news->next = news->prev = NULL;
		server->news_number -= 1;
	}
}

static void note_session_news(turn_turnserver *server, ts_ur_super_session *ss)
{
	struct turn_session_news *news = &(ss->news), *all = &(server->news);
	news->received_packets = ss->received_packets;
	news->received_bytes = ss->received_bytes;
	news->sent_packets = ss->sent_packets;
	news->sent_bytes = ss->sent_bytes;
	if(news->next)
		return;
	if(!(all->next))
		all->next = all->prev = all;
	news->session = ss;
	news->next = all;
	news->prev = all->prev;
	all->prev->next = news;
	all->prev = news;
	server->news_number += 1;
}

static void exchange(uint32_t *a, uint32_t *b)
{
	const uint32_t c = *a;
	*a = *b;
	*b = c;
}

static void exchange_noted(ts_ur_super_session *ss)
{
	exchange(&(ss->received_packets),&(ss->news.received_packets));
	exchange(&(ss->received_bytes),&(ss->news.received_bytes));
	exchange(&(ss->sent_packets),&(ss->news.sent_packets));
	exchange(&(ss->sent_bytes),&(ss->news.sent_bytes));
}

/* Whether the session is described now, not when somebody asks. */
static int is_news_told_now(turn_turnserver *server, ts_ur_super_session *ss, int ended)
{
	int told = 0;
	if(!(turn_session_readers))
		return 0;
	if(server->news_told_now)
		return 1;
	if(ended) {
		told = ss->news.told;
		ss->news.told = 0;
		no_session_news(server,ss);
	} else {
		note_session_news(server,ss);
	}
	return told;
}

int turn_server_tell_news(turn_turnserver *server, size_t max)
{
	if(!(server->news_due))
		server->news_due = server->news_number;
	server->news_told_now = 1;
	while(max && server->news_due && server->news_number) {
		ts_ur_super_session *ss = server->news.next->session;
		no_session_news(server,ss);
		ss->news.told = 1;
		exchange_noted(ss);
		report_turn_session_info(server,ss,0);
		exchange_noted(ss);
		server->news_due -= 1;
		max -= 1;
	}
	server->news_told_now = 0;
	if(!(server->news_number))
		server->news_due = 0;
	return server->news_due != 0;
}

""",
            ),
            # the report itself stays as it is: what else looks on there, looks on
            after(
                SERVER,
                r"int report_turn_session_info\([^)]*\) \{ if ?\(server && ss && server->send_turn_session_info",
                " && is_news_told_now(server,ss,force_invalid)",
            ),
            after(
                SERVER,
                r"static void delete_ur_map_ss\([^)]*\) \{ if ?\(p\) \{ ts_ur_super_session ?\* ?ss = "
                r"\(ts_ur_super_session ?\* ?\) ?p;\n",
                "\t\tno_session_news((turn_turnserver*)(ss->server),ss);\n",
            ),
            after(
                "src/apps/relay/turn_admin_server.h",
                r"int send_turn_session_info\(struct turn_session_info ?\* ?tsi\);\n",
                "void ask_for_session_news(void);\n",
            ),
            before(
                CLI,
                r"struct ps_arg \{ struct cli_session",
                """\
/* adminserver.sessions becomes what the relay threads know now. */
static void refresh_sessions(void)
{
	ask_for_session_news();
	admin_server_receive_message(adminserver.in_buf,NULL);
}

""",
            ),
            before(
                CLI,
                r"[ \t]*ur_map_foreach_arg\(adminserver\.sessions, ?\(foreachcb_arg_type\) ?print_session,",
                "\t\trefresh_sessions();\n",
            ),
            before(
                CLI,
                r"[ \t]*ur_map_foreach_arg\(adminserver\.sessions, ?\(foreachcb_arg_type\) ?https_print_session,",
                "\trefresh_sessions();\n",
            ),
            after(
                CLI,
                r"adminserver\.sessions = ur_map_create\(\);\n",
                "\tturn_session_readers = use_cli || use_web_admin || turn_params.web_admin_listen_on_workers;\n",
            ),
            # a unit test of coturn's links netengine.c alone, from 4.15
            if_there(after("tests/test_alt_server_stubs.c", r"LINK_STUB\(turn_cancel_session\)\n", "LINK_STUB(turn_server_tell_news)\n")),
            before(
                NETENGINE,
                r"static void setup_admin_server\(void\)",
                """\
/* Which relay threads have been asked for their sessions' news and have not told all. */
static pthread_mutex_t news_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news_cond = PTHREAD_COND_INITIALIZER;
static int news_asked[2][1+((turnserver_id)-1)];
static int news_awaited;

struct news_question {
	struct relay_server *rs;
	int *asked;
};

static void tell_session_news(evutil_socket_t fd, short what, void *arg)
{
	struct news_question *question = (struct news_question*)arg;
	/* the packets that have come meanwhile are read in between */
	const struct timeval soon = {0,1};
	UNUSED_ARG(fd);
	UNUSED_ARG(what);
	if(turn_server_tell_news(&(question->rs->server),32) &&
			!event_base_once(question->rs->event_base,-1,EV_TIMEOUT,tell_session_news,question,&soon))
		return;
	pthread_mutex_lock(&news_mutex);
	*(question->asked) = 0;
	news_awaited -= 1;
	pthread_cond_signal(&news_cond);
	pthread_mutex_unlock(&news_mutex);
	free(question);
}

/* With news_mutex held. */
static void ask_relay_server(struct relay_server *rs, int *asked)
{
	const struct timeval now = {0,0};
	struct news_question *question;
	if(!rs || !(rs->event_base) || *asked || !(question = (struct news_question*)malloc(sizeof(*question))))
		return;
	question->rs = rs;
	question->asked = asked;
	if(event_base_once(rs->event_base,-1,EV_TIMEOUT,tell_session_news,question,&now) < 0) {
		free(question);
		return;
	}
	*asked = 1;
	news_awaited += 1;
}

/* Returns when every relay thread has told its news, or after two seconds at most. Admin thread only. */
void ask_for_session_news(void)
{
	const struct timespec until = {time(NULL) + 3, 0};
	size_t i, number = get_real_general_relay_servers_number();
	pthread_mutex_lock(&news_mutex);
	for(i = 0; i < number; ++i)
		ask_relay_server(general_relay_servers[i],&(news_asked[0][i]));
	while(news_awaited && !pthread_cond_timedwait(&news_cond,&news_mutex,&until))
		;
	pthread_mutex_unlock(&news_mutex);
}

""",
            ),
            # until 4.10, there were threads of another kind as well
            if_said(
                "udp_relay_servers",
                before(
                    NETENGINE,
                    r"[ \t]*while\(news_awaited &&",
                    """\
	for(i = 0; i < sizeof(udp_relay_servers) / sizeof(udp_relay_servers[0]); ++i)
		ask_relay_server(udp_relay_servers[i],&(news_asked[1][i]));
""",
                ),
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
coturn's own checks), quota, the integrity of responses, mobility, denied peers
(of the refresh of a channel, too), the end of a session. turn_auth_hooks is NULL without a module, and every hook is
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
                r"\n[ \t]*set_allocation_valid\(alloc, (1|true)\);\n(?=\s*stun_tid_cpy)",
                "\t\t\t\t\tif(turn_auth_hooks && turn_auth_hooks->allocated)\n"
                "\t\t\t\t\t\tturn_auth_hooks->allocated(ss);\n",
            ),
            after(
                "src/server/ns_turn_server.c",
                r'#include "ns_turn_ioalib\.h"\n',
                '#include "ns_turn_auth_hooks.h"\n',
            ),
            # coturn looks at the peer of a new channel only: without this a denied one lives as long as it is refreshed
            after(
                "src/server/ns_turn_server.c",
                r'You cannot use the same channel number with different peer"; \}',
                """ else if(turn_auth_hooks && turn_auth_hooks->denied_peer(ss->realm_options.name, &peer_addr)) {
					*err_code = 403;
					*reason = (const uint8_t *)"Forbidden IP";
				}""",
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
            # 4.6.3 and later
            if_said(
                "drain_turn_server",
                after(
                    "src/apps/relay/mainrelay.h",
                    r"bool drain_turn_server;\n",
                    "\n#define TURN_CAN_DRAIN /* the module is told */\n",
                ),
            ),
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
part of it can be left out. dlopen() is linked from libdl where there is one,
and atomic numbers of 64 bits from libatomic where the compiler wants it.""",
        [
            after(
                "configure",
                r"(?m)^testlib rt\n",
                "testlib dl\n"
                "# atomic numbers of 64 bits are in a library where the processor or the compiler lacks them\n"
                '${ECHO_CMD} "unsigned long long f(unsigned long long *p) { return __atomic_add_fetch(p, 1, 0) + '
                '__atomic_load_n(p, 0); }" > __test__atomic__$$.c\n'
                '${ECHO_CMD} "int main(int argc, char **argv) { return argc + (int)f((unsigned long long *)argv); }" '
                ">> __test__atomic__$$.c\n"
                "${CC} __test__atomic__$$.c -o __test__atomic__$$ ${OSCFLAGS} 2>>/dev/null || testlib atomic\n"
                "rm -f __test__atomic__$$.c __test__atomic__$$\n",
            ),
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
                "file(GLOB AUTH_HEADERS *auth_*.h)\nfile(GLOB AUTH_FILES auth_*.c)\n"
                "include(CheckCSourceCompiles)\n"
                'check_c_source_compiles("int main(int argc, char **argv) { unsigned long long *p = (void *)argv;'
                ' return argc + (int)(__atomic_add_fetch(p, 1, 0) + __atomic_load_n(p, 0)); }" AUTH_ATOMICS)\n'
                "if(NOT AUTH_ATOMICS)\n    set(AUTH_ATOMIC_LIB atomic)\nendif()\n\n",
            )),
            if_there(after(
                "src/apps/relay/CMakeLists.txt", r"set\(HEAD(ER)?_FILES\n", "    ${AUTH_HEADERS}\n"
            )),
            if_there(after("src/apps/relay/CMakeLists.txt", r"set\(SOURCE_FILES\n", "    ${AUTH_FILES}\n")),
            if_there(after(
                "src/apps/relay/CMakeLists.txt",
                r"PRIVATE turn_server \$\{turnserver_LIBS\}",
                " ${CMAKE_DL_LIBS} ${AUTH_ATOMIC_LIB}",
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
                "\tNO_SESSION_REPORTS_OPT,\n\tAUTH_MODULE_OPT,\n\tAUTH_MODULE_CONFIG_OPT,\n\tAUTH_MODULE_ONLY_OPT,\n"
                "\tAUTH_MODULE_OBSERVE_OPT,\n",
            ),
            after(
                MAIN,
                r'[ \t]*\{ "oauth", optional_argument, NULL, OAUTH_OPT \},\n',
                '\t\t\t\t{ "no-session-reports", optional_argument, NULL, NO_SESSION_REPORTS_OPT },\n'
                '\t\t\t\t{ "auth-module", required_argument, NULL, AUTH_MODULE_OPT },\n'
                '\t\t\t\t{ "auth-module-config", required_argument, NULL, AUTH_MODULE_CONFIG_OPT },\n'
                '\t\t\t\t{ "auth-module-only", optional_argument, NULL, AUTH_MODULE_ONLY_OPT },\n'
                '\t\t\t\t{ "auth-module-observe", optional_argument, NULL, AUTH_MODULE_OBSERVE_OPT },\n',
            ),
            before(
                MAIN,
                r"[ \t]*/\* these options have been already taken care of before: \*/\n\s*case 'l':\n\s*case NO_STDOUT",
                """\
	case NO_SESSION_REPORTS_OPT: /* what it asked for is always so */
		break;
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
A module can deny addresses as peers, such as that of its database, and is asked
about each peer of a realm; both in every form of the address. Can be left out: a
module is then told that its address is not denied, and may refuse to start; and
it is not asked about peers.""",
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
    (
        "0015-log-one-line",
        "A record of the log is one line",
        """\
A client's text with a line feed in it (an ORIGIN, say) began another line, which
whoever reads the log (a person, fail2ban) took for coturn's. Line feeds inside a
record become blanks, as in 4.17, and a record that was cut ends with one, so that
the next one begins a line. fwrite() gets no more octets than there are.""",
        [
            until(
                (4, 17),
                before(
                    LOG,
                    r"void turn_log_func_default\([^)]*\.\.\.\) \{",
                    """\
/* One record, one line. Returns its length. */
static size_t turn_log_one_line(char *s, size_t cap) {
  size_t i, len = strlen(s);
  if (!len || s[len - 1] != '\\n') {
    len += len + 1 < cap ? 1 : 0;
    s[len - 1] = '\\n';
    s[len] = 0;
  }
  for (i = 0; i + 1 < len; ++i) {
    if (s[i] == '\\n' || s[i] == '\\r') {
      s[i] = ' ';
    }
  }
  return len;
}

""",
                ),
            ),
            until(
                (4, 17),
                after(
                    LOG,
                    r"so_far \+= vsnprintf\(s \+ so_far, [^;]*format, args\);\n",
                    "  so_far = turn_log_one_line(s, sizeof(s));\n",
                ),
            ),
        ],
    ),
    (
        "0016-peer-totals",
        "Totals of the peer side in 64 bits",
        """\
What a session has relayed from and to its peers was added up in 32 bits, and
began at 0 again after 4 GiB; the client side always had 64. This needs no module,
and holds without one.""",
        [
            instead(
                "src/server/ns_turn_session.h",
                r"uint32_t t_peer_received_packets; uint32_t t_peer_sent_packets; "
                r"uint32_t t_peer_received_bytes; uint32_t t_peer_sent_bytes;",
                "uint64_t t_peer_received_packets;\n  uint64_t t_peer_sent_packets;\n"
                "  uint64_t t_peer_received_bytes;\n  uint64_t t_peer_sent_bytes;",
            ),
        ],
    ),
    (
        "0017-auth-usage",
        "Tell the authentication module of allocations and what they relay",
        """\
A module hears when a session has its allocation, what living ones have relayed so
far (at an interval that it names), and why they ended. Can be left out: it then
hears of sessions that end, and neither of allocations nor why.""",
        files_of("auth-usage", "auth_usage.h"),
    ),
    (
        "0018-redis-texts",
        "Make no texts for Redis where there is no Redis",
        """\
Each allocation, refresh, end and traffic report made its keys and addresses for
redis-statsdb as texts, and threw them away without one. This needs no module, and
holds without one.""",
        [only_with_redis(word) for word in ('"set", key', '"del", key', "/traffic")],
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
    (
        "0016-connection-bind-owner",
        "Let a ConnectionBind that is refused spend nothing, and answer it",
        """\
A ConnectionBind (RFC 6062) of anybody who named a connection, with any credentials
or none, took that connection away from its owner, and was not answered: the
server closed it with the answer unsent. Before anything was verified it also
moved the owner's session to whatever realm it named. Now the connection stays
until its owner binds it or 30 seconds are over, the answer (401, 438, 441 or 400) is
sent, and the client may try again on its connection, which gets a session of its
own. A ConnectionBind for no connection at all is answered as well.""",
        [
            before(
                SERVER,
                r"int turnserver_accept_tcp_client_data_connection\(",
                """\
/* The session of a client whose ConnectionBind was refused, so that it can try again on this connection; or NULL. */
static ts_ur_super_session *unbound_session(turn_turnserver *server, ioa_socket_handle s)
{
	struct socket_message sm;
	memset(&sm,0,sizeof(sm));
	sm.s = s;
	if (get_ioa_socket_session(s) || (open_client_connection_session(server,&sm) < 0))
		return NULL;
	return get_ioa_socket_session(s);
}

""",
            ),
            instead(SERVER, r"if \(tcid && tid && s\)", "if (tid && s)"),
            after(
                SERVER,
                r"if \(!tc \|\| \(tc->state == TC_STATE_READY\) \|\| \(tc->client_s\)\) \{ err_code = 400;\n",
                """\
			/* nobody learns without credentials which connections there are */
			if (!stun_attr_get_first_by_type_str(ioa_network_buffer_data(in_buffer->nbh),
					ioa_network_buffer_get_size(in_buffer->nbh), STUN_ATTRIBUTE_MESSAGE_INTEGRITY)) {
				ts_ur_super_session *unbound = unbound_session(server,s);
				int postpone_reply = 0;
				if (unbound) {
					err_code = 0;
					s_to_delete = NULL;
					check_stun_auth(server, unbound, tid, &resp_constructed, &err_code, &reason, in_buffer, nbh,
						STUN_METHOD_CONNECTION_BIND, &message_integrity, &postpone_reply, 0);
				}
				if (!err_code)
					err_code = 400;
			}
""",
            ),
            after(SERVER, r"if \(tc(?=\) \{? get_and_clean_tcp_connection_by_id)", " && !err_code"),
            instead(
                SERVER,
                r"/\* Just to set the necessary structures for the packet sending: \*/\s*"
                r"if \(register_callback_on_ioa_socket\(server->e, s, IOA_EV_READ, NULL, NULL, 1\) < 0\)",
                """\
/* Whose ConnectionBind is refused gets the answer on a session of its own. */
			if ((s_to_delete == s) && unbound_session(server,s))
				s_to_delete = NULL;
			if (s_to_delete)""",
            ),
            after(
                SERVER,
                r"if \(method == STUN_METHOD_CONNECTION_BIND(?=\) \{\s*get_realm_options_by_name)",
                " && !is_allocation_valid(get_allocation_ss(ss))",
            ),
            after(
                SERVER,
                r"if \(strcmp\(\(char \*\) ?ss->username, \(char \*\) ?usname\)\) \{ if \(ss->oauth",
                " && (method != STUN_METHOD_CONNECTION_BIND)",
            ),
            after(
                NETENGINE,
                r"\w+\(&sm, (0, )?sizeof\(struct message_to_relay\)\); sm\.t = rmt;\n",
                """\

	/* an id that no relay has given is answered like any other that is not known */
	if ((rmt == RMT_CB_SOCKET) && ((id >= get_real_general_relay_servers_number()) || !general_relay_servers[id]))
		id = 0;
""",
            ),
        ],
    ),
]

# lines of context where three would take in a line that security/ changes as well
CONTEXT = {"0018-redis-texts": 2}

# what DEP-3 says of where a patch stands
NOT_FORWARDED = "Forwarded: no, needs the module interface, which has not been offered yet (patches/README.md)\n"
FIELDS = {
    "0001-session-reports": "Forwarded: no, not offered yet; needs no module (patches/README.md)\n",
    "0002-new-realm-count": "Forwarded: no, not offered yet; needs no module (patches/README.md)\n",
    "0016-connection-bind-owner": "Forwarded: no, not offered yet; needs no module (patches/README.md)\n",
    "0018-redis-texts": "Forwarded: no, not offered yet; needs no module (patches/README.md)\n",
    "0016-peer-totals": "Forwarded: no, not offered yet; needs no module (patches/README.md)\n",
    "0015-log-one-line": "Forwarded: no, not offered yet; needs no module (patches/README.md)\n",
    "0001-oauth-token-nonce-length": """\
Forwarded: not-needed
Applied-Upstream: 4.10.0, 46368b3e
Bug-CVE: CVE-2026-43994
""",
}
