#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reports of sanitizers: whose they are.

  reports.py FILE...   prints the reports that are not known, and a count of the known ones; exit 1 if there is one

A report is one of coturn's own if what touched the memory is not ours, and the table names it. Whatever the table does not
name counts, wherever it is.
"""
import collections
import pathlib
import re
import sys

# Ours: our programs and module, and what the patches add to coturn
OURS = re.compile(r"/plugin/(core|base|pg|store|issuing|turn|module|ctl|turncredd)/|\bauth_[a-z]+\.c\b")

# coturn's own data races, by the functions that meet; seen in 4.6.1
KNOWN = [
    (r"turn_log_func_default|log_time|set_log_file_line|set_rtpfile|set_log_file_name_func|rollover_logfile|sighup_callback_handler",
     "the log's time and file, kept without a lock, and opened anew at SIGHUP"),
    (r"setup_socket_per_(thread|session)_udp_listener_servers|setup_relay_server|init_turn_server|setup_server|start_server",
     "relay threads and listeners are set up at the same time"),
    (r"timer_handler|timer_event_handler|turn_time|get_online_mtus", "the server's clock, a plain variable that several threads set"),
    (r"close_socket_net_data|close_ioa_socket|delete_socket_from_map|create_unbound_relay_ioa_socket", "a socket is freed by another thread"),
    (r"reread_realms|get_realm_data|get_realm_options_by_(name|origin)|update_o_to_realm|apply_session_limits",
     "options of realms are written anew while relay threads copy them"),
    (r"update_ssl_ctx|set_ctx|reload_ssl_certs|reload_tls_certs|openssl_load_certificates", "certificates are replaced while listeners use them"),
    (r"event_(base|del|add|free|assign|new|active)\w*|evsignal_\w*|evmap_\w*|epoll_\w*|bufferevent_\w*|evbuffer_\w*|evthread_\w*",
     "libevent objects that threads share"),
]
# coturn's data, which our accounting reads as coturn's own does: the counters of a realm beside the rewriting of its options
SHARED = re.compile(r"/(auth_quota)\.c\b")
SHARED_WITH = re.compile(r"\b(reread_realms|get_realm_data)\b")


def split(text):
    """The reports of one file."""
    starts = [m.start() for m in re.finditer(r"^(==\d+==ERROR|WARNING: ThreadSanitizer|.*runtime error:)", text, re.M)]
    return [text[a:b] for a, b in zip(starts, starts[1:] + [len(text)])]


def accessors(report):
    """Of each stack that touched the memory, the first frame that is not a library's: "function file". Where a thread
    or the memory comes from is told in further stacks, which do not count."""
    out = []
    for stack in re.findall(r"^  (?:Previous )?(?:[Aa]tomic )?(?:[Rr]ead|[Ww]rite) of size.*\n((?:    #.*\n)+)", report, re.M):
        frames = re.findall(r"#\d+ (\S+) (\S+)", stack)
        out.append(next((" ".join(f) for f in frames if re.search(r"(^|/)(src/(apps|server|client)|plugin)/", f[1])), " ".join(frames[0])))
    return out


def known(report):
    """The name of coturn's own report, or None."""
    if "ThreadSanitizer: signal handler spoils errno" in report and re.search(r"^    #0 sighup_callback_handler ", report, re.M):
        return "the handler of SIGHUP changes errno"
    if "ThreadSanitizer: data race" not in report:
        return None
    touched = accessors(report)
    ours = [a for a in touched if OURS.search(a)]
    if ours:
        shared = len(touched) == 2 and len(ours) == 1 and SHARED.search(ours[0]) and any(SHARED_WITH.search(a) for a in touched)
        return "options of realms are written anew while a relay thread counts in them" if shared else None
    for functions, what in KNOWN:
        if touched and any(re.match(rf"({functions}) ", a) for a in touched):
            return what
    return None


def judge(files, counts=None):
    """The reports that are ours or not known."""
    bad = []
    counts = collections.Counter() if counts is None else counts
    for file in files:
        for report in split(pathlib.Path(file).read_text(errors="replace")):
            name = known(report)
            if name:
                counts[name] += 1
            else:
                bad.append(report[:6000])
    return bad


if __name__ == "__main__":
    tally = collections.Counter()
    found = judge(sys.argv[1:], tally)
    for text in found:
        print(text)
    for what, n in sorted(tally.items()):
        print(f"coturn's own, {n} times: {what}")
    print(f"{len(found)} reports that are not known")
    sys.exit(bool(found))
