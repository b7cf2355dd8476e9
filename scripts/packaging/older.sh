# shellcheck shell=bash
# test-packages sources this file after boot.sh. It has functions for an upgrade from the packages of an older revision.
# shellcheck disable=SC2154 # work, packages: test-packages

older_revision=808ebf9 # 0.1.0-1, the first packages
older=$top/build/packages-$older_revision

# older_packages: has the packages of that revision, built here unless $older has them already. The source comes with
# these files (build/$older_revision.tar), since a copy of them has no history.
older_packages() {
  local tree=$work/older
  compgen -G "$older/turncred_*.deb" >/dev/null && return
  mkdir -p "$tree/build" "$older" && tar -C "$tree" -xf "$top/build/$older_revision.tar" && cp -a "$top/build/cache" "$tree/build/" &&
    (cd "$tree" && DEB_BUILD_OPTIONS=nocheck ./scripts/make-coturn-deb "$older" && DEB_BUILD_OPTIONS=nocheck ./scripts/make-deb "$older") && rm -r "$tree"
}
# the machine as it was before the guide
as_before() {
  rm -f "$work/answered" && cp "$work/step.stock" /etc/turnserver.conf && apt install -y --allow-downgrades "coturn=$stock" &&
    systemctl restart coturn && serves 3478
}
# puts packages of FOLDER where the guide has them
served() { rm -rf /srv/turncred && install -d /srv/turncred && cp "$1"/{coturn_,coturn-auth-turncred_,turncred_}*.deb /srv/turncred/; }

# follow_older NAME: runs this block of the guide that lay in the older packages
follow_older() {
  local doc=/usr/share/doc/coturn-auth-turncred/UPGRADE.md
  [[ -s $work/older.md ]] ||
    dpkg-deb --fsys-tarfile "$older"/coturn-auth-turncred_*.deb | tar -xO ".$doc.gz" 2>/dev/null | gunzip >"$work/older.md" ||
    dpkg-deb --fsys-tarfile "$older"/coturn-auth-turncred_*.deb | tar -xO ".$doc" >"$work/older.md" || return
  # nobody follows it so fast that systemd counts five starts in ten seconds
  systemctl reset-failed coturn.service 2>/dev/null
  run_block "$work/older.md" "$1"
}
# the older guide has no page about turncredd: role, certificate and caller as ISSUER.md makes them, settings and drop-ins as
# an operator had put them together
older_issuer() {
  run_block "$top/scripts/packaging/ISSUER.md" issuer-role && run_block "$top/scripts/packaging/ISSUER.md" issuer-certificate || return
  cp "$top/plugin/turncredd/turncredd.conf.example" /etc/turncred/turncredd.conf
  install -m 400 -o turncredd /etc/turncred/issuer1.pgpass /etc/turncred/turncredd.pgpass
  install -m 400 -o turncred-maintain /etc/turncred/operator.pgpass /etc/turncred/maintain.pgpass
  install -D -m 644 "$top/scripts/packaging/debian/examples/turncredd.service.d-kek.conf" /etc/systemd/system/turncredd.service.d/kek.conf
  install -D -m 644 "$top/scripts/packaging/debian/examples/turncred-maintain.service.d-login.conf" \
    /etc/systemd/system/turncred-maintain.service.d/login.conf
  systemctl daemon-reload && systemctl enable --now turncredd turncred-maintain.timer &&
    run_block "$top/scripts/packaging/ISSUER.md" issuer-caller && wait_for 60 issue
}
version_is() { [[ $(dpkg-query -W -f '${Version}' "$1") == "$2"* ]]; }
is_older() { version_is "$1" "$(dpkg-deb -f "$older"/turncred_[0-9]*.deb Version)"; }

# newer PACKAGE: installs a copy of the package that is there under a higher version, as a small upgrade would be
newer() {
  local deb tree=$work/newer
  rm -rf "$tree" && mkdir "$tree"
  deb=$(printf '%s\n' "$packages/$1"_[0-9]*.deb)
  dpkg-deb -R "$deb" "$tree/tree" && sed -i 's/^Version: .*/&.9/' "$tree/tree/DEBIAN/control" &&
    dpkg-deb -b "$tree/tree" "$tree/$1.deb" && apt install -y "$tree/$1.deb" && [[ $(version_of "$1") == *.9 ]]
}
# the same version once more, with turncredd disabled: it must stay down
stays_down() {
  systemctl disable --now turncredd && apt install -y --reinstall --allow-downgrades "$packages"/turncred_*.deb &&
    ! systemctl -q is-active turncredd && systemctl enable --now turncredd && active turncredd
}
