# SPDX-License-Identifier: GPL-3.0-or-later
# What installers/run and installers/test share: messages, packages, the build. Sourced, never run.

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step NAME COMMAND…   runs the command and prints how long it took, also when it failed
step() {
  local name=$1 started=$SECONDS status=0
  shift
  say "$name"
  "$@" || status=$?
  printf -- '-- %s: %d s\n' "$name" "$((SECONDS - started))"
  return "$status"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "installing packages needs root. Run this as root, or install sudo."
  fi
}

# Build needs, by Debian 12 and Ubuntu 24.04 package names.
build_packages() {
  echo g++ cmake ninja-build ccache pkg-config python3 ca-certificates \
    libfmt-dev nlohmann-json3-dev libcli11-dev libssl-dev libpcre2-dev libxxhash-dev \
    qt6-base-dev qt6-svg-dev qt6-tools-dev qt6-tools-dev-tools qt6-l10n-tools \
    libqcustomplot-dev libmd4c-dev libmd4c-html0-dev libqt6sql6-sqlite fonts-inter fonts-jetbrains-mono
  boost_package
}

# Debian 12 has Boost 1.81 beside its default 1.74, Ubuntu 24.04 has 1.83. The versions exclude each
# other, and a Boost that is already installed is never replaced.
boost_package() {
  local name
  for name in libboost-dev libboost1.83-dev libboost1.81-dev; do
    if is_installed "$name"; then
      echo "$name"
      return
    fi
  done
  for name in libboost1.83-dev libboost1.81-dev libboost-dev; do
    if apt-cache show "$name" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  echo libboost-dev
}

is_installed() { dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# install_packages NAME…   installs what is missing and never removes anything
install_packages() {
  command -v apt-get >/dev/null ||
    die "this installer knows Debian 12 and Ubuntu 24.04 (apt-get). Elsewhere install: $*"
  local missing=() name
  for name in "$@"; do
    is_installed "$name" || missing+=("$name")
  done
  [ "${#missing[@]}" -eq 0 ] && { echo "all packages are there"; return; }
  echo "installing: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y \
    --no-install-recommends --no-remove "${missing[@]}" >"$install_log" 2>&1 ||
    { tail -20 "$install_log" >&2; die "apt-get could not install the packages above (log: $install_log)."; }
}

# The package lists of a bare machine are empty; names are looked up only after this.
refresh_package_lists() {
  command -v apt-get >/dev/null || return 0
  if ! apt-cache show g++ >/dev/null 2>&1 || ! apt-cache show libqcustomplot-dev >/dev/null 2>&1; then
    as_root apt-get -q -o DPkg::Lock::Timeout=300 update
  fi
}

# configure PRESET [cmake options…]
configure() {
  local preset=$1
  shift
  export CCACHE_BASEDIR=$repository CCACHE_NOHASHDIR=1
  cmake --preset "$preset" "$@" >"$repository/build/$preset.configure.log" 2>&1 ||
    { tail -30 "$repository/build/$preset.configure.log" >&2; die "cmake could not configure '$preset'."; }
}

# configure_and_build PRESET [cmake options…]
configure_and_build() {
  configure "$@"
  cmake --build --preset "$1"
}

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
install_log=$(mktemp -t tandem-install.XXXXXX)
mkdir -p "$repository/build"
cd "$repository"
