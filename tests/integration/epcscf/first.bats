load ../lib
load ../turncredd/daemon
load epcscf
setup_file() { edge_up || return 0; daemon_start main 'push_wait = 1s'; edge_start main; synced; }
setup() { edge_ready; }
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { edge_down; }
@test "derived" {
  phones main <<'PY'
async with phone("alice") as p:
    a = await p.register("derived")
    print(a, a.headers)
    c = a.credential(); print(c)
    probe(c)
    a = await p.options("derived"); print(a, a.headers)
    a = await p.register("pushed")
    print(a, a.headers)
    c = a.credential(); print(c)
    probe(c)
    a = await p.register(expires=0)
    print(a, a.headers)
assert 0
PY
}
