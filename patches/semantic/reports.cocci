// Session reports only if they are wanted, in src/apps/relay/netengine.c (0007-session-reports).
// SPDX-License-Identifier: BSD-3-Clause

@reports@
@@
 init_turn_server(...,
- send_turn_session_info
+ use_session_reports ? send_turn_session_info : NULL
 , ...)
