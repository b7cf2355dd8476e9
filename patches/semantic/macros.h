/* What Coccinelle cannot parse of ns_turn_server.c, in a form that it can. */
#define SKIP_ATTRIBUTES                                                                                                \
  case 0:                                                                                                              \
    break
#define FUNCSTART
#define FUNCEND
