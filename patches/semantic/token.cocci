// The nonce of a token must fit, in src/client/ns_turn_msg.c (security/0001-oauth-token-nonce-length).
// SPDX-License-Identifier: BSD-3-Clause

@nonce@
identifier dtoken, nonce_len;
@@
decode_oauth_token_gcm(...)
{
<...
+	if(nonce_len > sizeof(dtoken->enc_block.nonce)) {
+		OAUTH_ERROR("%s: token nonce is too long: %d\n",__FUNCTION__,(int)nonce_len);
+		return -1;
+	}
dtoken->enc_block.nonce_length = nonce_len;
...>
}
