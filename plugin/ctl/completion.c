/*
 * completion.c - turncredctl completion: made from the table of commands, as the help is
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include <stdio.h>
#include <string.h>

static const char completion[] =
    "_turncredctl() {\n"
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} line best='' words='' "
    "i\n"
    "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "    [[ ${COMP_WORDS[i]} == -* ]] || line+=\"${line:+ }${COMP_WORDS[i]}\"\n"
    "  done\n"
    "  for i in \"${!_turncredctl_options[@]}\"; do\n"
    "    [[ \"$line \" == \"$i \"* && ${#i} -gt ${#best} ]] && best=$i\n"
    "    # the next word of a command that the line begins\n"
    "    if [[ -z $line ]]; then words+=\" ${i%% *}\"\n"
    "    elif [[ $i == \"$line \"* ]]; then i=${i#\"$line \"}; words+=\" ${i%% *}\"; fi\n"
    "  done\n"
    "  case $prev in\n"
    "  --*file | --from | --save | --kek | --config | --credential | --renew | --directory)\n"
    "    mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    return ;;\n"
    "  esac\n"
    "  if [[ $cur == -* ]]; then words=\"$_turncredctl_global ${_turncredctl_options[$best]}\"\n"
    "  elif [[ -n $best ]]; then words=''; fi\n"
    "  # the first operand of these two is a word\n"
    "  [[ $cur != -* && $line =~ ^(un)?revoke$ ]] && words='user token kid realm'\n"
    "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "}\n"
    "complete -o bashdefault -o default -F _turncredctl turncredctl\n";

static void put_option_names(const struct ctl_option *options) {
  for (const struct ctl_option *o = options; o && o->name; o++) {
    printf("%s--%s", o == options ? "" : " ", o->name);
  }
}

enum ctl_exit cmd_completion(struct ctl *ctl) {
  if (strcmp(ctl_operand(ctl, 0), "bash")) {
    return ctl_fail(ctl, CTL_USAGE, "SHELL: \"%s\" is not bash", ctl_operand(ctl, 0));
  }
  puts("# bash completion for turncredctl; written by: turncredctl completion bash");
  fputs("_turncredctl_global='", stdout);
  put_option_names(ctl->global_options);
  puts("'\ndeclare -gA _turncredctl_options=(");
  for (const struct ctl_command *c = ctl->commands; c->name; c++) {
    printf("  ['%s']='", c->name);
    put_option_names(c->options);
    puts("'");
  }
  puts(")");
  fputs(completion, stdout);
  return CTL_OK;
}
