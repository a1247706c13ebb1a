#!/bin/sh
# In one boot 50 cells come and go and Bulkhead 20 times; all CPUs and all memory come back, the module reloads.
# run: --timeout 500
# run: --machine virt-v2 --timeout 500
. /usr/lib/scenario.sh

# Free memory, with what each CPU keeps at hand, in one read of both: pages go from one to the other at any moment, megabytes at
# once. The most of some seconds, as what is freed comes back late.
free_kib() {
    local most=0 now
    sync
    echo 3 > /proc/sys/vm/drop_caches
    for _ in 1 2 3 4 5 6 7 8; do
        now=$(awk '/pages free/ { pages += $3 } $1 == "count:" { pages += $2 } END { print 4 * pages }' /proc/zoneinfo)
        [ "$now" -le $most ] || most=$now
        usleep 300000
    done
    echo $most
}

# round NUMBER: one life of a cell.
round() {
    create /tmp/rtos.dtb
    bulkhead cell load rtos $inmates/rtos.elf > /dev/null || fail "round $1: load"
    bulkhead cell start rtos > /dev/null || fail "round $1: start"
    [ $(($1 % 10)) != 0 ] || rtos_reports
    bulkhead cell stop rtos > /dev/null || fail "round $1: stop"
    bulkhead cell destroy rtos > /dev/null || fail "round $1: destroy"
}

echo "50 cells"
dtc -q -I dts -O dtb -o /tmp/rtos.dtb $cells/rtos.dts
pages=$(field hv_pages_free)
pool=$(field pool_free)
number=0
while [ $number -lt 50 ]; do
    number=$((number + 1))
    round $number
    [ $number != 5 ] || before=$(free_kib)
done
is "the hypervisor's free pages" "$(field hv_pages_free)" "$pages"
is "free memory for cells" "$(field pool_free)" "$pool"
online "0-$(($(nproc) - 1))"
after=$(free_kib)
echo "free: $before KiB after 5 rounds, $after KiB after 50"
# So a leak of more than 45 KiB a round is found here.
[ "$after" -gt $((before - 2048)) ] || fail "Linux has lost $((before - after)) KiB to cells"

echo "20 times enabled"
rmmod bulkhead 2>&1 && fail "the module went while enabled"
bulkhead disable > /dev/null
resources=$(grep -v 'Kernel\|System RAM' /proc/iomem)
number=0
while [ $number -lt 20 ]; do
    number=$((number + 1))
    bulkhead enable > /dev/null || fail "enable $number"
    bulkhead disable > /dev/null || fail "disable $number"
    [ $number != 3 ] || before=$(free_kib)
done
after=$(free_kib)
online "0-$(($(nproc) - 1))"
echo "free: $before KiB after 3 times, $after KiB after 20"
[ "$after" -gt $((before - 4096)) ] || fail "Linux has lost $((before - after)) KiB to enable and disable"
is "Linux's resources" "$(grep -v 'Kernel\|System RAM' /proc/iomem)" "$resources"

echo "the module reloads, with everything in it"
for number in 1 2 3; do
    rmmod bulkhead || fail "rmmod $number"
    [ ! -e /dev/bulkhead ] || fail "/dev/bulkhead has stayed"
    modprobe bulkhead || fail "modprobe $number"
done
bulkhead enable > /dev/null
run_rtos
bulkhead cell destroy rtos > /dev/null
bulkhead disable > /dev/null
online "0-$(($(nproc) - 1))"
dmesg -r | grep '^<[0-4]>' | grep 'bulkhead:' | grep -v taints && fail "the module complains"
exit 0
