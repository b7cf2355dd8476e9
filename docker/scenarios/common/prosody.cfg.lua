-- Prosody as operators of XMPP servers set it up for TURN: a host for each way of its modules to a credential. The secret
-- is the one that today's coturn has as static-auth-secret; start-xmpp writes the secrets in the places of their names.

interfaces = { "0.0.0.0" }
pidfile = "/tmp/prosody.pid"
data_path = "/tmp/prosody"
log = { info = "*console" }
authentication = "anonymous"
c2s_require_encryption = false
modules_enabled = { "disco", "roster", "saslauth" }
modules_disabled = { "s2s", "tls" }

turn_external_secret = "REST-SECRET"
turn_external_host = "turn.example.org"
turn_external_tcp = true

-- the default: the username is the time alone
VirtualHost "time.example.org"
	modules_enabled = { "turn_external" }

-- the username has a name behind the time, the same for all users of the server
VirtualHost "user.example.org"
	modules_enabled = { "turn_external" }
	turn_external_user = "prosody"

-- a secret of more than 64 octets, and turns: beside turn:
VirtualHost "long.example.org"
	modules_enabled = { "turn_external" }
	turn_external_secret = "LONG-SECRET"
	turn_external_tls_port = 5349

-- the module of prosody-modules that older set-ups of Jitsi have
VirtualHost "older.example.org"
	modules_enabled = { "turncredentials" }
	turncredentials_secret = "REST-SECRET"
	turncredentials_host = "turn.example.org"
