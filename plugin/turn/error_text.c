/*
 * error_text.c - what a STUN error code means to an operator, and what to do about it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "error_text.h"

#include <stddef.h>

static const struct turn_error_text texts[] = {
    {300, "the server sends clients elsewhere (ALTERNATE-SERVER)",
     "probe the server that it names, or take alternate-server out of its configuration"},
    {400, "the server finds the request malformed",
     "an attribute is missing, or the server lacks lt-cred-mech; its log names the attribute"},
    {401, "the credential was refused",
     "expired, wrong password or key, unknown user or kid, revoked, or made for another realm or "
     "server name: compare clock, realm and kid with what issued it; the server's log and counters "
     "name the reason"},
    {403, "the server does not relay to this peer",
     "the realm's peers (realm show), its denied-peer-ip rules, the ban on hosts of turncred's database, or the "
     "default ban on loopback and internal "
     "addresses: name another --peer-address, or allow this one with realm set --allowed-peers or "
     "allowed-peer-ip; for a test on loopback alone "
     "start turnserver with allow-loopback-peers"},
    {420, "the server does not understand an attribute of the request",
     "0x001B is ACCESS-TOKEN: the realm offers no tokens; add token to its mechanisms"},
    {437, "there is no allocation on this 5-tuple, or it exists already",
     "it has ended (expired credential, lifetime over, revoked) or the port was used a moment ago: "
     "allocate anew from another port"},
    {438, "the nonce is stale and stayed so after new ones",
     "several servers behind one address must not share a client's packets; look at stale-nonce "
     "and at the load balancer"},
    {440, "the server cannot relay this address family",
     "ask for another with --family 4 or 6 (without it IPv4 is asked for), or give the server a "
     "relay-ip of that family"},
    {441, "the request is right, but another user made the allocation",
     "renew with a credential of the same user (same subject tag or user id)"},
    {442, "the server does not relay over this transport", "UDP relaying is switched off there"},
    {443, "the peer's address family is not the allocation's",
     "name a --peer-address of the family of the relayed address"},
    {446, "the server cannot reach the peer over TCP", "look at the peer's firewall"},
    {447, "the connection to the peer timed out or failed", "look at the peer's firewall"},
    {486, "a quota is full",
     "the user's or the realm's allocation quota: end old sessions, or raise user_quota and "
     "total_quota (turncredctl realm set)"},
    {500, "the server could not decide now",
     "nothing loaded from the database yet, or a temporary fault: look at its log and at "
     "turncredctl server list, then try again"},
    {508, "the server has no room: ports or bandwidth are used up",
     "widen min-port and max-port, or look at bps-capacity"},
    {0, NULL, NULL},
};

const struct turn_error_text *turn_error_text(unsigned code) {
  static const struct turn_error_text other = {0, "the server refused the request", "its log says more"};
  for (const struct turn_error_text *t = texts; t->code; t++) {
    if (t->code == code) {
      return t;
    }
  }
  return &other;
}
