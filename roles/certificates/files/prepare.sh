# sh -euc THIS sh DIGEST PROGRAM SITE, and the pins on standard input.
if [ -n "$SLIPWAY_CHECK_MODE" ]; then
  # A dry run, before the first real one.
  if [ ! -x /opt/slipway/certbot/bin/python ] || [ ! -e "/etc/slipway/certificates/$3.json" ]; then
    echo '{"changed": true, "loaded": true, "complete": false, "names": []}'
    exit
  fi
  exec /opt/slipway/certbot/bin/python "$2" state "$3"
fi
umask 022
mkdir -p /opt/slipway
# Two environments on one server may come at the same time.
exec 9> /opt/slipway/.certbot.lock
flock 9
# A new Debian has a new Python.
venv=/opt/slipway/certbot-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')-$1
if [ ! -e "$venv/done" ]; then
  # Wheels only: a source would bring further packages that are not pinned.
  python3 -m venv --clear "$venv" &&
    "$venv/bin/pip" install --quiet --only-binary :all: --require-hashes --requirement /dev/stdin || {
    for full in $(df --output=avail,target "$venv" /tmp | awk '$1 < 102400 {print $2}'); do
      echo "$full: this file system of the server is full, so certbot could not be installed. Make room there, then run again." >&2
      exit 1
    done
    echo "certificates: certbot could not be installed, for the reason above. Is the package index in reach of this server?" >&2
    exit 1
  }
  touch "$venv/done"
fi
# The units start it by this name.
if [ "$(readlink /opt/slipway/certbot)" != "$venv" ]; then
  ln -sfn "$venv" /opt/slipway/.certbot
  mv -T /opt/slipway/.certbot /opt/slipway/certbot
  for old in /opt/slipway/certbot-*; do
    [ "$old" = "$venv" ] || rm -rf "$old"
  done
fi
exec 9>&-
# Units that this run has written, or one that was cut off before systemd read them.
! systemctl show --property=NeedDaemonReload "slipway-certificate@$3.timer" "slipway-certificate@$3.service" | grep -q =yes ||
  systemctl daemon-reload
exec /opt/slipway/certbot/bin/python "$2" prepare "$3"
