// The hooks of the authentication module in src/server/ns_turn_server.c (0001-auth-hooks).
// SPDX-License-Identifier: BSD-3-Clause

@inc_quota@
typedef ts_ur_super_session, turn_turnserver, ioa_addr, stun_tid, ioa_net_data, ioa_network_buffer_handle, stun_attr_ref, uint8_t, uint16_t;
identifier ss, username;
@@
inc_quota(ts_ur_super_session *ss, uint8_t *username)
{
+	if(turn_auth_hooks && turn_auth_hooks->owns(ss))
+		return turn_auth_hooks->inc_quota(ss);
...
}

@dec_quota@
identifier ss;
@@
dec_quota(ts_ur_super_session *ss)
{
+	if(turn_auth_hooks && turn_auth_hooks->owns(ss)) {
+		turn_auth_hooks->dec_quota(ss);
+		return;
+	}
...
}

@denied_peer@
identifier server, realm, peer_addr;
@@
good_peer_addr(turn_turnserver *server, const char *realm, ioa_addr *peer_addr, ...)
{
+	if(turn_auth_hooks && turn_auth_hooks->denied_peer(realm, peer_addr))
+		return 0;
...
}

@session_end@
expression ss;
@@
delete_ur_map_ss(...)
{
<...
+	if(turn_auth_hooks)
+		turn_auth_hooks->session_end(ss);
delete_session_from_map(ss);
...>
}

@keeps@
identifier orig_ss, ss;
@@
copy_auth_parameters(ts_ur_super_session *orig_ss, ts_ur_super_session *ss, ...)
{
+	if(turn_auth_hooks && turn_auth_hooks->keeps(orig_ss, ss))
+		return;
...
}

@resume@
identifier orig_ss, ss;
@@
+	if(turn_auth_hooks)
+		turn_auth_hooks->resume(orig_ss, ss);
if(!(ss->hmackey_set)) {
copy_auth_parameters(orig_ss,ss);
}

// 4.15 and 4.16
@resume_always depends on !resume@
identifier orig_ss, ss;
expression list arguments;
statement S;
@@
+	if(turn_auth_hooks)
+		turn_auth_hooks->resume(orig_ss, ss);
copy_auth_parameters(orig_ss, ss);
if(check_stun_auth(arguments) < 0) S

// 4.17 and later
@resume_without_charge depends on !resume@
identifier orig_ss, ss;
@@
+	if(turn_auth_hooks)
+		turn_auth_hooks->resume(orig_ss, ss);
copy_auth_parameters(orig_ss, ss, false);

@integrity@
identifier ss;
expression ct, buf, len, sha;
@@
- stun_attr_add_integrity_str(
+ session_add_integrity_str(ss,
  ct, buf, len, ss->hmackey, ss->pwd, sha)

@check@
identifier server, ss, tid, resp_constructed, err_code, reason, in_buffer, nbh, method, message_integrity, postpone_reply, can_resume, sar;
expression buf, len;
@@
check_stun_auth(turn_turnserver *server, ts_ur_super_session *ss, stun_tid *tid, int *resp_constructed, int *err_code, const uint8_t **reason, ioa_net_data *in_buffer, ioa_network_buffer_handle nbh, uint16_t method, int *message_integrity, int *postpone_reply, int can_resume)
{
...
+	if(turn_auth_hooks && turn_auth_hooks->check(server, ss, tid, resp_constructed, err_code, reason, in_buffer, nbh,
+			method, message_integrity, postpone_reply, can_resume))
+		return 0;
stun_attr_ref sar = stun_attr_get_first_by_type_str(buf, len, STUN_ATTRIBUTE_MESSAGE_INTEGRITY);
...
}
