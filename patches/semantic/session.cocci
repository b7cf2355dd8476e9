// The session's one new member, in src/server/ns_turn_session.h (0001-auth-hooks).
// SPDX-License-Identifier: BSD-3-Clause

@session@
@@
struct _ts_ur_super_session {
...
+	/* Authentication module */
+	struct auth_session *auth_session;
};
