#!/usr/bin/env bash
# Installs what is missing on a Debian or Ubuntu machine, and says what it does.
#
#   bootstrap.sh [python] [servers] [browser] [prometheus] [faults] [node]
#
# python: .venv with the packages of requirements/dev.txt, installed again only when that file has changed.
# servers: RabbitMQ, and the libraries that mongod needs, from the system's packages.
# browser: Chromium for the browser tests; where it cannot be had, those are skipped and say so.
# prometheus: Prometheus and promtool for the tests of dashboard and alerts, likewise.
# faults: libfaketime, with which chaos lets a service's clock jump, likewise.
# node: Node.js with npm, and the packages of tests/clients and deploy/pages, installed again only when their lock files have changed, likewise.
#
# As root it installs with apt-get; as anybody else it prints the command to type and ends with status 1.
set -euo pipefail
cd "$(dirname "$0")/../.."

LOCK=requirements/dev.txt
VENV=.venv
STAMP=$VENV/.installed
NODE_FOLDERS=(tests/clients deploy/pages)
LOG=.run/log/install.log
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="# made by Parley's bootstrap.sh"
UNITS=(rabbitmq-server.service epmd.service epmd.socket prometheus.service)

say() { printf '%s\n' "$*"; }
fail() { printf 'make: %s\n' "$*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "Python 3.11 or newer is needed; name one with  make PYTHON=/path/to/python3 …"
}

# While packages are unpacked, no service may start: a system-wide RabbitMQ is not wanted, only its programs are.
forbid_starts() {
  if [[ -e $POLICY || -L $POLICY ]] && ! grep -qsF "$POLICY_MARK" "$POLICY"; then
    mv "$POLICY" "$POLICY.before-parley"
  fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
  chmod 755 "$POLICY"
}

allow_starts() {
  grep -qsF "$POLICY_MARK" "$POLICY" && rm -f "$POLICY"
  if [[ -e $POLICY.before-parley || -L $POLICY.before-parley ]]; then mv "$POLICY.before-parley" "$POLICY"; fi
}

unit_exists() { [[ -e /lib/systemd/system/$1 || -e /usr/lib/systemd/system/$1 ]]; }

# Nor at the next boot. Units that were there before belong to somebody and stay as they are.
disable_units() {
  local unit
  for unit in "$@"; do
    unit_exists "$unit" || continue
    # (Without systemctl there is no systemd that could start it.)
    if command -v systemctl >/dev/null; then systemctl --quiet disable "$unit" >>"$LOG" 2>&1 || true; fi
  done
  if [[ " $* " == *" rabbitmq-server.service "* ]]; then update-rc.d rabbitmq-server disable >>"$LOG" 2>&1 || true; fi
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null | tee -a "$LOG"; }

install_packages() {
  local unit new_units=()
  if ((EUID != 0)); then
    fail "missing: $*; type:  sudo apt-get update && sudo apt-get install --no-install-recommends $*"
  fi
  command -v apt-get >/dev/null || fail "missing: $*; this machine has no apt-get, install them in its own way"
  mkdir -p "$(dirname "$LOG")"
  for unit in "${UNITS[@]}"; do unit_exists "$unit" || new_units+=("$unit"); done
  say "installing $* with apt-get (log: $LOG)"
  trap allow_starts EXIT
  forbid_starts
  apt update -q >/dev/null || fail "apt-get update failed; see $LOG"
  apt install -q --no-install-recommends "$@" | sed -un 's/^\(Unpacking\|Setting up\) \([^ ]*\) .*/  \1 \2/p' ||
    fail "apt-get could not install $*; see $LOG"
  allow_starts
  trap - EXIT
  disable_units "${new_units[@]}"
}

# The packages that running RabbitMQ and mongod takes and that are not there.
missing_for_servers() {
  [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || echo rabbitmq-server
  # A mongod that is on the PATH brings its own libraries.
  command -v mongod >/dev/null || has_library libcurl.so.4 || echo libcurl4
}

missing_for_browser() {
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    ((EUID != 0)) || echo chromium
}

missing_for_prometheus() {
  command -v prometheus >/dev/null || ((EUID != 0)) || echo prometheus
}

missing_for_faults() {
  compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || ((EUID != 0)) || echo libfaketime
}

missing_for_node() {
  command -v npm >/dev/null || ((EUID != 0)) || printf 'nodejs\nnpm\n'
}

missing_for_python() {
  python_is_ready || "$python" -c 'import venv, ensurepip' 2>/dev/null ||
    "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

has_library() { { /sbin/ldconfig -p || ldconfig -p; } 2>/dev/null | grep -qF "$1 "; }

wanted() { printf '%s %s' "$(sha256sum <"$LOCK")" "$("$python" -c 'import sys; print(sys.version)')"; }

python_is_ready() { [[ -x $VENV/bin/python && -f $STAMP && $(<"$STAMP") == "$(wanted)" ]]; }

install_python() {
  if python_is_ready; then return; fi
  say "installing $(grep -c '==' "$LOCK") Python packages into $VENV"
  "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    "$python" -m venv --clear "$VENV"
  mkdir -p "$(dirname "$LOG")"
  "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r "$LOCK" 2>&1 |
    tee -a "$LOG" | sed -un 's/^Collecting \([^ ]*\).*/  \1/p' ||
    fail "the Python packages could not be installed: $(grep -m1 '^ERROR' "$LOG" || echo "see $LOG")"
  wanted >"$STAMP"
}

install_node_packages() {
  local folder wanted stamp
  command -v npm >/dev/null || return
  for folder in "${NODE_FOLDERS[@]}"; do
    wanted=$(sha256sum <"$folder/package-lock.json")
    stamp=$folder/node_modules/.installed
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then continue; fi
    say "installing the npm packages of $folder (at most $(grep -c '"integrity"' "$folder/package-lock.json"))"
    mkdir -p "$(dirname "$LOG")"
    (cd "$folder" && npm ci --no-audit --no-fund) >>"$LOG" 2>&1 || return
    printf '%s\n' "$wanted" >"$stamp"
  done
}

python=$(find_python)
missing=()
for part in "$@"; do
  case $part in
  python) mapfile -t -O "${#missing[@]}" missing < <(missing_for_python) ;;
  servers) mapfile -t -O "${#missing[@]}" missing < <(missing_for_servers) ;;
  browser | prometheus | faults | node) ;;
  *) fail "bootstrap.sh [python] [servers] [browser] [prometheus] [faults] [node], not $part" ;;
  esac
done
if ((${#missing[@]} > 0)); then install_packages "${missing[@]}"; fi
if [[ " $* " == *" python "* ]]; then install_python; fi
if [[ " $* " == *" browser "* && -n $(missing_for_browser) ]]; then
  (install_packages chromium) || say "Chromium could not be installed here; the browser tests will be skipped, and say so"
fi
if [[ " $* " == *" prometheus "* && -n $(missing_for_prometheus) ]]; then
  (install_packages prometheus) || say "Prometheus could not be installed here; the tests with it will be skipped, and say so"
fi
if [[ " $* " == *" faults "* && -n $(missing_for_faults) ]]; then
  (install_packages libfaketime) || say "libfaketime could not be installed here; chaos leaves clock jumps out, and says so"
fi
if [[ " $* " == *" node "* ]]; then
  mapfile -t missing < <(missing_for_node)
  if ((${#missing[@]} > 0)); then (install_packages "${missing[@]}") || true; fi
  install_node_packages || say "Node.js or its packages could not be installed here; the tests with its tools will be skipped, and say so"
fi
