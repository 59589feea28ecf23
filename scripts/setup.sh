#!/usr/bin/env bash
# Makes .venv ready: `setup.sh demo` for `make demo`, `setup.sh test` for everything, `setup.sh faults` for that and
# what power cuts under a file system need, `setup.sh hotspot` for that and the programs of a hotspot.
# Does nothing when nothing changed. Installs Debian packages that are missing when it runs as root, else names them.
# Speaks on stderr only: stdout belongs to the program that make starts afterwards.
set -euo pipefail
exec 1>&2
cd -P "$(dirname "$0")/.."

level=${1:-test}
venv=.venv
case $level in
  demo | test | faults | hotspot) ;;
  *) echo "usage: setup.sh demo|test|faults|hotspot"; exit 2 ;;
esac

say() { echo "setup: $*"; }

# packages PACKAGE...: install them, or say how and stop.
packages() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing with apt: $*"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
  else
    say "missing on this machine: $*"
    say "install it and try again:  sudo apt install $*"
    exit 1
  fi
}

# unwanted SERVICE...: the tests start programs of their own; those that Debian starts with the package are not wanted.
unwanted() {
  if [ -d /run/systemd/system ]; then
    for service in "$@"; do systemctl disable --quiet --now "$service" || true; done
  fi
}

# A Python of at least 3.11: $PYTHON, else the first of the usual names.
python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  command -v python3 >/dev/null || { packages python3 python3-venv; python=python3; }
  "${python:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "Python 3.11 or newer is needed, here is $(python3 --version 2>&1)."
    say "Debian 12 and Raspberry Pi OS 12 have it; elsewhere set PYTHON=/path/to/python3."
    exit 1
  }
  python=python3
fi

if [ "$level" = faults ]; then
  # Only root may attach loop devices; anyone else runs the group without them, and it says so.
  if [ "$(id -u)" = 0 ]; then
    missing=()
    command -v mkfs.ext4 >/dev/null && command -v e2fsck >/dev/null || missing+=(e2fsprogs)
    command -v losetup >/dev/null || missing+=(mount)
    [ ${#missing[@]} = 0 ] || packages "${missing[@]}"
  fi
  level=test
fi

if [ "$level" = hotspot ]; then
  PATH=$PATH:/usr/sbin:/sbin
  missing=()
  services=()
  command -v ip >/dev/null || missing+=(iproute2)
  command -v iptables-legacy >/dev/null || missing+=(iptables)
  command -v busybox >/dev/null || missing+=(busybox)
  command -v udhcpc >/dev/null || missing+=(udhcpc)
  command -v dnsmasq >/dev/null || missing+=(dnsmasq-base)
  command -v hostapd >/dev/null || { missing+=(hostapd); services+=(hostapd); }
  command -v opennds >/dev/null || { missing+=(opennds-daemon); services+=(opennds); }
  command -v freeradius >/dev/null || { missing+=(freeradius); services+=(freeradius); }
  [ ${#missing[@]} = 0 ] || { packages "${missing[@]}"; unwanted "${services[@]}"; }
  level=test
fi

if [ "$level" = test ]; then
  # Debian keeps mosquitto in sbin, which is not on the PATH of an ordinary account.
  PATH=$PATH:/usr/sbin
  missing=()
  command -v mosquitto >/dev/null || missing+=(mosquitto)
  command -v dbus-daemon >/dev/null || missing+=(dbus-daemon)
  command -v systemd-analyze >/dev/null || missing+=(systemd)
  command -v node >/dev/null || missing+=(nodejs)
  command -v openssl >/dev/null || missing+=(openssl)
  if [ ${#missing[@]} -gt 0 ]; then
    packages "${missing[@]}"
    case " ${missing[*]} " in *" mosquitto "*) unwanted mosquitto ;; esac
  fi
fi

# An environment remembers where it was made; a copied or half-made one is made anew.
if ! grep -qsF "$PWD/$venv" "$venv/bin/activate" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  "$python" -c 'import ensurepip, venv' 2>/dev/null || packages python3-venv
  say "making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv"
fi

# The test environment holds all that the demo needs, so either stamp serves the demo.
key() { cat "requirements/${1/test/dev}.lock" pyproject.toml scripts/setup.sh | sha256sum; }
ready() { [ "$(cat "$venv/.ready-$1" 2>/dev/null)" = "$(key "$1")" ]; }
if ready test || { [ "$level" = demo ] && ready demo; }; then
  exit 0
fi

say "installing the locked packages (a minute or two the first time)"
rm -f "$venv"/.ready-*
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet install)
"${pip[@]}" --require-hashes -r "requirements/${level/test/dev}.lock"
"${pip[@]}" --no-deps --no-build-isolation -e .
key "$level" >"$venv/.ready-$level"
