# Two private views of Debian's archive, sourced by the scripts that install or fetch. Nothing in /etc/apt is touched:
# package lists, sources and downloads live under target/apt.
#   host_apt install PACKAGE...        this machine, bookworm with bookworm-backports
#   suite_apt SUITE download PACKAGE:ARCH   any suite, any architecture, only to unpack
# Expects $repo; the archive and its keys are Debian's own.

archive=http://deb.debian.org/debian
security=http://deb.debian.org/debian-security
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# apt_state NAME: an empty apt state, if it is not there yet; prints its folder.
apt_state() {
    local state="${repo:?}/target/apt/$1"
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    [ -e "$state/status" ] || : > "$state/status"
    echo "$state"
}

# apt_update STATE APT_ARGS...: `apt-get update`, at most once in twelve hours.
apt_update() {
    local state="$1" log
    shift
    if [ -n "$(find "$state/updated" -mmin -720 2> /dev/null)" ]; then return; fi
    log="$state/update.log"
    echo "  reading the package lists of $(basename "$state")" >&2
    # A list that could not be read is only a warning to apt; here it would surface later, as a missing package.
    if ! "$@" -q update > "$log" 2>&1 || grep -qE '^(E|W: Failed)' "$log"; then
        cat "$log" >&2
        return 1
    fi
    touch "$state/updated"
}

host_apt() {
    local state
    state=$(apt_state host)
    printf "deb [signed-by=$keyring] %s main\n" \
        "$archive bookworm" "$archive bookworm-updates" "$archive bookworm-backports" \
        "$security bookworm-security" > "$state/sources.list"
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get
        -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache"
        -o DPkg::Lock::Timeout=300)
    apt_update "$state" "${apt[@]}"
    "${apt[@]}" -q -y "$@"
}

# suite_apt SUITE TOOL-AND-ARGS: `cache show ...` or `get download ...` on the archive of SUITE.
suite_apt() {
    local suite="$1" tool="apt-$2" state base
    shift 2
    state=$(apt_state "$suite")
    base=${suite%-backports}
    printf "deb [arch=amd64,arm64 signed-by=$keyring] $archive %s main\n" "$base" > "$state/sources.list"
    if [ "$base" != "$suite" ]; then
        printf "deb [arch=amd64,arm64 signed-by=$keyring] $archive %s main\n" "$suite" >> "$state/sources.list"
    fi
    local options=(
        -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o "Dir::State=$state" -o "Dir::State::Lists=$state/lists" -o "Dir::State::status=$state/status"
        -o "Dir::Cache=$state/cache" -o APT::Architectures::=amd64 -o APT::Architectures::=arm64
        -o APT::Sandbox::User=)
    # Backports are not chosen unless asked for by name.
    [ "$base" = "$suite" ] || options+=(-t "$suite")
    apt_update "$state" apt-get "${options[@]}"
    "$tool" "${options[@]}" "$@"
}
