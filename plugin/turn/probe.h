/*
 * probe.h - does everything that a TURN client can do, step by step, and reports on each step
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_TURN_PROBE_H
#define TURNCRED_TURN_PROBE_H

#include "client.h"
#include "target.h"

struct turn_probe_options {
  struct turn_target server; /* each of its addresses is tried until one answers */
  enum turn_protocol protocol;
  struct turn_tls_options tls; /* name NULL: the host of server */
  struct turn_target peer;  /* the probe's peer socket; host "": an address of this host, in the relayed one's family */
  struct turn_target local; /* from where the client sends; host "": anywhere */
  struct turn_credential credential;
  bool eager;    /* send the token in the first request */
  bool announce; /* send THIRD-PARTY-AUTHORIZATION in the first request */
  bool allocate_only;
  const char *origin; /* chooses the realm on a server of several; NULL: none */
  int family;         /* of the relayed address; AF_UNSPEC */
  uint32_t lifetime;  /* seconds that the client asks for; 0: the server chooses */
  uint32_t count;     /* datagrams each way, in indications and as ChannelData */
  uint32_t data_bytes;
  uint32_t keep_seconds;               /* how long the allocation is held, with data and refreshes */
  uint32_t refresh_seconds;            /* between refreshes while holding; 0: half of the lifetime */
  const struct turn_credential *renew; /* sent in a Refresh after the other steps; NULL: none */
  uint32_t timeout_ms;
};

#define TURN_PROBE_STEPS 64

struct turn_probe_step {
  char name[24];
  bool ok;
  bool passed_over; /* it failed, and something else was tried: the server's next address, or another port */
  int64_t us;
  unsigned code;
  unsigned retransmissions;
  char detail[512];
};

struct turn_probe_report {
  bool ok;
  unsigned code; /* of the STUN error that ended the probe; 0: none did */
  enum turn_outcome outcome;
  int io; /* errno value of TURN_IO, where there is one */
  struct turn_probe_step steps[TURN_PROBE_STEPS];
  size_t count;
  char server[64], local[64], relayed[64], mapped[64], peer[64];
  char seen_as[64]; /* the address from which the peer gets relayed datagrams, where a NAT makes it
                       another one than the relayed address */
  char realm[TURNCRED_REALM_MAX + 1], server_name[TURNCRED_SERVER_NAME_MAX + 1], software[128];
  bool offers_tokens;
  uint32_t lifetime;         /* granted by the Allocate */
  int64_t certificate_until; /* of a TLS server, UTC seconds; 0: none */
  uint32_t refreshes;        /* while holding */
  uint64_t sent, received;   /* datagrams through the relay, both ways */
};

/* Makes all steps, up to the first that fails; the report has every step that was made. All of its texts are UTF-8,
 * whatever the server sends. */
void turn_probe(const struct turn_probe_options *options, struct turn_probe_report *report);

#endif
