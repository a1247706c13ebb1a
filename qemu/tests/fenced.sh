#!/bin/sh
# A cell that no kick can reach is fenced in bounded time and reported; destroying it and disabling are refused with the reason,
# and Linux and another cell run on. With two security states there are more ways to that.
# run: --timeout 240
# run: --machine versal --timeout 240
# run: --machine virt-v2 --timeout 240
# run: --qemu-arg=-machine --qemu-arg=secure=on --timeout 240
. /usr/lib/scenario.sh
cpus=$(nproc)

# unreachable WORDS: a cell that obeys them takes its CPU with it.
unreachable() {
    echo "'$1'"
    cell /tmp/bad.dts "bad$cpus" "bootargs = \"$1\";"
    create /tmp/bad.dts
    bulkhead cell load "bad$cpus" $inmates/hostile.elf > /dev/null
    bulkhead cell start "bad$cpus" > /dev/null
    usleep 500000
    refuses "cannot stop.*CPU 0x$((cpus - 1)) .*does not answer: its cell is cut off" bulkhead cell stop "bad$cpus"
    is "the state" "$(state "bad$cpus")" fenced
    refused 1 "cannot destroy.*CPU 0x$((cpus - 1)) .*does not answer: its cell is cut off" bulkhead cell destroy "bad$cpus"
    refused 1 "cannot disable.*bad$cpus .fenced.*until a reboot" bulkhead disable
    cpus=$((cpus - 1))
    left
    bulkhead log | grep 'fenced: CPU' > /dev/null || fail "the log says nothing of it"
}

# left: the CPUs that Linux has still.
left() {
    case $cpus in
        1) online 0 ;;
        *) online "0-$((cpus - 1))" ;;
    esac
}

# refuses REGEX COMMAND...: it fails and says so; what is there may change.
refuses() {
    local wanted="$1" status=0
    shift
    "$@" > /tmp/refused.out 2>&1 || status=$?
    is "$*: exit code" $status 1
    grep -qE -- "$wanted" /tmp/refused.out || fail "$*: no '$wanted' in: $(cat /tmp/refused.out)"
}

if has_fiq_kicks; then
    unreachable "active wfi"
elif has_gicv2; then
    unreachable "pmr wfi"
    unreachable "deaf wfi"
else
    unreachable "deaf wfi"
    # On Versal that was the only CPU for cells.
    [ $cpus -lt 3 ] || unreachable vector-loop
fi
if [ $cpus -gt 1 ]; then
    echo "the next cell"
    cell /tmp/next.dts next 'bootargs = "spin";'
    create /tmp/next.dts
    bulkhead cell load next $inmates/hostile.elf > /dev/null
    for round in 1 2 3; do
        bulkhead cell start next > /dev/null
        usleep 200000
        bulkhead cell stop next > /dev/null
        is "the state after round $round" "$(state next)" stopped
    done
    bulkhead cell destroy next
fi
left
