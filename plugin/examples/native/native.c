/* native.c - a native client that uses access tokens: OAuth, two relay-only agents, data, renewal */
/* SPDX-License-Identifier: BSD-3-Clause */

#include <agent.h>
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVERY_MS 20

static gchar *token_file, *issuer, *client_id, *secret_file, *ca_file, *audience, *local_address;
static gchar *server = "127.0.0.1";
static gint port = 3478, seconds = 5;
static gboolean tcp;

static const GOptionEntry options[] = {
    {"token", 0, 0, G_OPTION_ARG_FILENAME, &token_file,
     "Read the token from FILE, as turncredctl token issue writes it", "FILE"},
    {"issuer", 0, 0, G_OPTION_ARG_STRING, &issuer, "Get tokens at URL/oauth2/token", "URL"},
    {"client", 0, 0, G_OPTION_ARG_STRING, &client_id, "OAuth client id, the caller's name in turncredd", "ID"},
    {"secret", 0, 0, G_OPTION_ARG_FILENAME, &secret_file, "File with the client's secret", "FILE"},
    {"ca", 0, 0, G_OPTION_ARG_FILENAME, &ca_file, "Certificates that the issuer's is checked with", "FILE"},
    {"audience", 0, 0, G_OPTION_ARG_STRING, &audience, "The TURN server's name, as the server gives it", "NAME"},
    {"server", 0, 0, G_OPTION_ARG_STRING, &server, "Host of the TURN server (127.0.0.1)", "HOST"},
    {"port", 0, 0, G_OPTION_ARG_INT, &port, "Port of the TURN server (3478)", "PORT"},
    {"local", 0, 0, G_OPTION_ARG_STRING, &local_address, "Use this local address alone", "ADDRESS"},
    {"tcp", 0, 0, G_OPTION_ARG_NONE, &tcp, "Speak TCP to the TURN server", NULL},
    {"seconds", 0, 0, G_OPTION_ARG_INT, &seconds, "For how long data is exchanged (5)", "N"},
    {NULL, 0, 0, 0, NULL, NULL, NULL}};

struct side {
  NiceAgent *agent;
  guint stream;
  gboolean gathered, ready, fetching;
};
static struct side caller, callee;
static struct {
  guint32 sent, echoed;
  guint renewed;
  gboolean failed;
} count;

/* --- the token ------------------------------------------------------------------------------------ */

static size_t collect(char *data, size_t size, size_t n, void *into) {
  g_string_append_len(into, data, (gssize)(size * n));
  return size * n;
}

/* The answer of the authorization server to client credentials (RFC 6749 4.4) for the audience, or NULL */
static gchar *ask_issuer(void) {
  GString *answer = g_string_new(NULL);
  gchar *secret = NULL;
  gchar *url = g_strconcat(issuer, "/oauth2/token", NULL);
  CURL *curl = curl_easy_init();
  char *name = curl_easy_escape(curl, audience, 0);
  gchar *form = g_strconcat("grant_type=client_credentials&scope=stun&audience=", name, NULL);
  long status = 0;
  if (g_file_get_contents(secret_file, &secret, NULL, NULL)) {
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(curl, CURLOPT_USERNAME, client_id);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, g_strstrip(secret));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc || status != 200) {
      fprintf(stderr, "%s: %s, status %ld %s\n", url, curl_easy_strerror(rc), status, status ? answer->str : "");
    }
  } else {
    fprintf(stderr, "%s: cannot be read\n", secret_file);
  }
  curl_free(name);
  curl_easy_cleanup(curl);
  g_free(secret);
  g_free(url);
  g_free(form);
  return g_string_free(answer, status != 200);
}

/* Gets a token, in a thread of its own: media does not wait for the issuer. The result is a json_t. */
static void fetch(GTask *task, gpointer source, gpointer data, GCancellable *cancellable) {
  (void)source, (void)data, (void)cancellable;
  gchar *text = NULL;
  json_t *answer = NULL;
  if (!token_file) {
    text = ask_issuer();
  } else if (!g_file_get_contents(token_file, &text, NULL, NULL)) {
    fprintf(stderr, "%s: cannot be read\n", token_file);
  }
  if (text && !(answer = json_loads(text, 0, NULL))) {
    fprintf(stderr, "%s: there is no token\n", token_file ? token_file : issuer);
  }
  g_task_return_pointer(task, answer, NULL);
  g_free(text);
}

/* Why a token is of no use, as far as a client can know */
static const char *const failures[] = {
    [NICE_RELAY_TOKEN_ERROR_EXPIRED] = "has run out: get a new one",
    [NICE_RELAY_TOKEN_ERROR_NOT_OFFERED] = "is of no use: the server takes no tokens",
    [NICE_RELAY_TOKEN_ERROR_OTHER_SERVER] = "is for another server; this one calls itself",
    [NICE_RELAY_TOKEN_ERROR_REFUSED] = "was refused (401); the server's log says why"};

/* Hands a token to the agent: the first one sets the relay, each further one renews it */
static gboolean use_token(struct side *s, json_t *answer, gboolean first) {
  const char *kid, *token64, *key64;
  json_int_t lifetime, until = 0;
  if (json_unpack(answer, "{s:s, s:s, s:s, s:I, s?I}", "kid", &kid, "access_token", &token64, "key", &key64,
                  "expires_in", &lifetime, "expires_at", &until)) {
    fprintf(stderr, "there is no token\n");
    return FALSE;
  }
  if (until) { /* a file may be older than its reading */
    lifetime = until - time(NULL);
  }
  if (lifetime < 1) {
    if (first) {
      fprintf(stderr, "token of kid %s %s\n", kid, failures[NICE_RELAY_TOKEN_ERROR_EXPIRED]);
    }
    return FALSE;
  }
  gsize token_len, key_len;
  guchar *token = g_base64_decode(token64, &token_len), *key = g_base64_decode(key64, &key_len);
  gboolean ok = first ? nice_agent_set_relay_token(s->agent, s->stream, 1, server, (guint)port,
                                                   tcp ? NICE_RELAY_TYPE_TURN_TCP : NICE_RELAY_TYPE_TURN_UDP, audience,
                                                   kid, token, token_len, key, key_len, (guint)lifetime)
                      : nice_agent_renew_relay_token(s->agent, s->stream, 1, audience, kid, token, token_len, key,
                                                     key_len, (guint)lifetime);
  g_free(token);
  g_free(key);
  return ok;
}

static void fetched(GObject *source, GAsyncResult *result, gpointer side) {
  (void)source;
  struct side *s = side;
  json_t *answer = g_task_propagate_pointer(G_TASK(result), NULL);
  s->fetching = FALSE;
  /* without a token the agent asks again */
  count.renewed += answer && use_token(s, answer, FALSE);
  json_decref(answer);
}

static void on_needed(NiceAgent *agent, guint stream, guint component, const gchar *name, gpointer side) {
  (void)stream, (void)component, (void)name;
  struct side *s = side;
  if (!s->fetching) {
    s->fetching = TRUE;
    GTask *task = g_task_new(agent, NULL, fetched, s);
    g_task_run_in_thread(task, fetch);
    g_object_unref(task);
  }
}

static void on_failed(NiceAgent *agent, guint stream, guint component, const gchar *kid, NiceRelayTokenError reason,
                      const gchar *name, gpointer side) {
  (void)agent, (void)stream, (void)component, (void)side;
  fprintf(stderr, "token of kid %s %s%s%s\n", kid, failures[reason],
          reason == NICE_RELAY_TOKEN_ERROR_OTHER_SERVER ? " " : "",
          reason == NICE_RELAY_TOKEN_ERROR_OTHER_SERVER ? name : "");
  count.failed = TRUE;
}

/* --- the agents ----------------------------------------------------------------------------------- */

static void on_gathered(NiceAgent *agent, guint stream, gpointer side) {
  (void)agent, (void)stream;
  ((struct side *)side)->gathered = TRUE;
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer side) {
  (void)agent, (void)stream, (void)component;
  ((struct side *)side)->ready = state == NICE_COMPONENT_STATE_READY;
  count.failed |= state == NICE_COMPONENT_STATE_FAILED;
}

/* The callee sends back what comes, the caller counts */
static void on_data(NiceAgent *agent, guint stream, guint component, guint len, gchar *data, gpointer side) {
  if (side == &callee) {
    nice_agent_send(agent, stream, component, len, data);
  } else {
    count.echoed++;
  }
}

static gboolean send_one(gpointer data) {
  (void)data;
  char payload[160] = "";
  memcpy(payload, &count.sent, sizeof count.sent);
  count.sent += nice_agent_send(caller.agent, caller.stream, 1, sizeof payload, payload) == sizeof payload;
  return G_SOURCE_CONTINUE;
}

static gboolean wake(gpointer flag) {
  *(gboolean *)flag = TRUE;
  return G_SOURCE_REMOVE;
}

/* Runs the main loop until done() is true, for at most ms; false if it never was, or if something has failed */
static gboolean run(guint ms, gboolean (*done)(void)) {
  gboolean late = FALSE;
  guint timer = g_timeout_add(ms, wake, &late);
  while (!late && !count.failed && !done()) {
    g_main_context_iteration(NULL, TRUE);
  }
  if (!late) {
    g_source_remove(timer);
  }
  return done() && !count.failed;
}
static gboolean gathered(void) { return caller.gathered && callee.gathered; }
static gboolean connected(void) { return caller.ready && callee.ready; }
static gboolean never(void) { return FALSE; }
static gboolean all_back(void) { return count.echoed == count.sent; }

static gboolean start(struct side *s, gboolean controlling) {
  s->agent = nice_agent_new(g_main_context_default(), NICE_COMPATIBILITY_RFC5245);
  g_object_set(s->agent, "force-relay", TRUE, "ice-tcp", FALSE, "upnp", FALSE, "controlling-mode", controlling, NULL);
  NiceAddress address;
  if (local_address && nice_address_set_from_string(&address, local_address)) {
    nice_agent_add_local_address(s->agent, &address);
  }
  g_signal_connect(s->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), s);
  g_signal_connect(s->agent, "component-state-changed", G_CALLBACK(on_state), s);
  g_signal_connect(s->agent, "relay-token-needed", G_CALLBACK(on_needed), s);
  g_signal_connect(s->agent, "relay-token-failed", G_CALLBACK(on_failed), s);
  s->stream = nice_agent_add_stream(s->agent, 1);
  nice_agent_attach_recv(s->agent, s->stream, 1, g_main_context_default(), on_data, s);

  GTask *task = g_task_new(NULL, NULL, NULL, NULL);
  g_task_run_in_thread_sync(task, fetch);
  json_t *answer = g_task_propagate_pointer(task, NULL);
  gboolean ok = answer && use_token(s, answer, TRUE) && nice_agent_gather_candidates(s->agent, s->stream);
  json_decref(answer);
  g_object_unref(task);
  return ok;
}

/* What signalling does elsewhere: one side's credentials and candidates go to the other */
static guint introduce(struct side *from, struct side *to) {
  gchar *ufrag, *password;
  nice_agent_get_local_credentials(from->agent, from->stream, &ufrag, &password);
  nice_agent_set_remote_credentials(to->agent, to->stream, ufrag, password);
  GSList *candidates = nice_agent_get_local_candidates(from->agent, from->stream, 1);
  guint n = g_slist_length(candidates);
  nice_agent_set_remote_candidates(to->agent, to->stream, 1, candidates);
  g_slist_free_full(candidates, (GDestroyNotify)nice_candidate_free);
  g_free(ufrag);
  g_free(password);
  return n;
}

static gboolean call(void) {
  if (!start(&caller, TRUE) || !start(&callee, FALSE) || !run(20000, gathered)) {
    return FALSE;
  }
  if (!introduce(&caller, &callee) || !introduce(&callee, &caller)) {
    fprintf(stderr, "the server gave no relay\n");
    return FALSE;
  }
  if (!run(20000, connected)) {
    fprintf(stderr, "the two relays do not reach each other\n");
    return FALSE;
  }
  puts("connected");
  fflush(stdout);
  guint timer = g_timeout_add(EVERY_MS, send_one, NULL);
  run((guint)seconds * 1000, never);
  g_source_remove(timer);
  gboolean all = run(3000, all_back);
  printf("sent %u, came back %u, renewed %u times\n", count.sent, count.echoed, count.renewed);
  return all && count.sent > 0;
}

static void closed(GObject *agent, GAsyncResult *result, gpointer flag) {
  (void)agent, (void)result;
  *(gboolean *)flag = TRUE;
}

int main(int argc, char **argv) {
  GError *error = NULL;
  GOptionContext *context = g_option_context_new("- two relay-only agents with access tokens");
  g_option_context_add_main_entries(context, options, NULL);
  if (!g_option_context_parse(context, &argc, &argv, &error) || !audience ||
      !(token_file || (issuer && client_id && secret_file))) {
    fprintf(stderr, "%s\n",
            error ? error->message : "--audience, and --token or --issuer, --client and --secret, are needed");
    return 2;
  }
  curl_global_init(CURL_GLOBAL_DEFAULT);
  gboolean ok = call();
  for (int i = 0; i < 2; i++) {
    struct side *s = i ? &callee : &caller;
    gboolean done = FALSE;
    if (s->agent) {
      nice_agent_close_async(s->agent, closed, &done); /* gives the allocations back */
      while (!done) {
        g_main_context_iteration(NULL, TRUE);
      }
      g_object_unref(s->agent);
    }
  }
  return ok ? 0 : 1;
}
