#!/bin/sh
# Words that scenarios share: `. /usr/lib/scenario.sh`. Ends the script at the first command that fails.
set -e
cells=/usr/share/bulkhead/cells
inmates=/usr/share/bulkhead/inmates

fail() {
    echo "FAILED: $*"
    exit 1
}

# is WHAT FOUND WANTED
is() {
    [ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"
}

# says REGEX COMMAND...: it succeeds and prints something like REGEX.
says() {
    local wanted="$1" output status=0
    shift
    output=$("$@" 2>&1) || status=$?
    [ $status = 0 ] || fail "$*: exit code $status: $output"
    echo "$output" | grep -qE -- "$wanted" || fail "$*: no '$wanted' in: $output"
}

# What commands that are refused leave alone. Counts of exits grow all the time.
snapshot() {
    bulkhead status --json 2>&1 || true
    bulkhead cell list --json 2>&1 | grep -v '"exits"' || true
    cat /sys/devices/system/cpu/online
    ls /sys/bus/amba/drivers/*/ /run/bulkhead 2>&1 || true
}

# refused CODE REGEX COMMAND...: it exits with CODE, says something like REGEX on standard error, and changes nothing.
refused() {
    local code="$1" wanted="$2" status=0 before
    shift 2
    before=$(snapshot)
    "$@" > /tmp/refused.out 2> /tmp/refused.err || status=$?
    echo "\$ $*"
    sed 's/^/    /' /tmp/refused.err
    is "$*: exit code" $status "$code"
    grep -qE -- "$wanted" /tmp/refused.err || fail "$*: no '$wanted' in what it says"
    [ ! -s /tmp/refused.out ] || fail "$*: it prints: $(cat /tmp/refused.out)"
    is "$*: what is there after it" "$(snapshot)" "$before"
}

# online WANTED: Linux runs on these CPUs, and each does work.
online() {
    local cpu
    is "CPUs online" "$(cat /sys/devices/system/cpu/online)" "$1"
    for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
        cpu=${cpu##*cpu}
        if ! grep -q "^processor.*: $cpu\$" /proc/cpuinfo; then continue; fi
        timeout 10 taskset -c "$cpu" true || fail "CPU $cpu does no work"
    done
}

# field NAME: a number of `bulkhead status --json`.
field() {
    bulkhead status --json | sed -n "s/.*\"$1\": \\([0-9]*\\).*/\\1/p"
}

# cell FILE NAME PROPERTY...: writes a cell's file: one CPU, 2 MiB, and these properties, which may say otherwise.
cell() {
    local file="$1" name="$2"
    shift 2
    {
        echo "/dts-v1/; / { compatible = \"bulkhead,cell\"; model = \"$name\"; cpus = <1>; memory = <0 0x200000>; };"
        printf '%s\n' "/ {" "$@" "};"
    } > "$file"
}

# create ARGUMENTS: `cell create`, without its warnings on drivers that stay bound.
create() {
    bulkhead cell create "$@" > /tmp/create.out 2>&1 || fail "cell create $*: $(cat /tmp/create.out)"
}

# run_rtos: the RTOS cell, from nothing to its first report.
run_rtos() {
    create $cells/rtos.dts
    bulkhead cell load rtos $inmates/rtos.elf > /dev/null
    bulkhead cell start rtos > /dev/null
    rtos_reports
}

# rtos_reports: it goes on, nothing of its floating point lost.
rtos_reports() {
    uart1-wait -n 20 '^rtos: [0-9]+ s: .* fp sum .* right' > /dev/null
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local tries=$(($1 * 10))
    shift
    until "$@" > /dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "not in time: $*"
        usleep 100000
    done
}

# has_fiq_kicks: a kick is an FIQ to EL2, which no guest can mask: a GICv3 with one security state.
has_fiq_kicks() {
    [ "$(field security_states)" = 1 ] && ! has_gicv2
}

has_gicv2() {
    grep -q ' GICv2 \| GIC-0 ' /proc/interrupts
}

# state CELL
state() {
    bulkhead cell show "$1" | sed -n "1s/^$1: \\(.*\\), id .*/\\1/p"
}

is_state() {
    [ "$(state "$1")" = "$2" ]
}
