# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# slow begin SQL / slow commit, for scripts: a transaction that stays open in between
make_slow() {
  mkdir -p "$TC_DIR/bin"
  cat >"$TC_DIR/bin/slow" <<'SLOW'
#!/bin/sh
if [ "$1" = begin ]; then
  psql -Xqc 'CREATE TABLE IF NOT EXISTS public.go (x int); TRUNCATE public.go'
  psql -Xq -v ON_ERROR_STOP=1 >/dev/null 2>&1 <<SQL &
BEGIN;
$2;
DO \$\$ BEGIN FOR i IN 1 .. 3000 LOOP EXIT WHEN EXISTS (SELECT FROM public.go); PERFORM pg_sleep(0.02); END LOOP; END \$\$;
COMMIT;
SQL
  for i in $(seq 200); do
    [ "$(psql -XAtc "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")" = 1 ] && exit 0
    sleep 0.05
  done
  exit 1
fi
psql -Xqc 'INSERT INTO public.go VALUES (1)'
SLOW
  chmod +x "$TC_DIR/bin/slow"
  export PATH=$TC_DIR/bin:$PATH
}
