#!/bin/sh
# Linux works while a cell lives: forks, CPU hotplug, timers, its UART, all at once; and the cell goes on.
# run: --timeout 240
# uart1: ^rtos: 5 s: .* right
# uart1-not: WRONG
# console: and its end$
. /usr/lib/scenario.sh
run_rtos

echo "processes"
storm() {
    local left="$1"
    while [ "$left" -gt 0 ]; do
        left=$((left - 1))
        /bin/busybox true || return 1
        [ "$(/bin/busybox echo "$left" | /bin/busybox cat)" = "$left" ] || return 1
    done
    echo well > "$2"
}
for number in 1 2 3 4; do storm 150 /tmp/storm.$number & done

echo "CPU hotplug of what Linux has left"
round=0
while [ $round -lt 8 ]; do
    round=$((round + 1))
    for cpu in 1 2; do
        echo 0 > /sys/devices/system/cpu/cpu$cpu/online || fail "CPU $cpu does not go offline"
        is "CPUs online" "$(cat /sys/devices/system/cpu/online)" "$([ $cpu = 1 ] && echo 0,2 || echo 0-1)"
        echo 1 > /sys/devices/system/cpu/cpu$cpu/online || fail "CPU $cpu does not come online"
        timeout 20 taskset -c $cpu true || fail "CPU $cpu does no work"
    done
done
echo 1 2> /dev/null > /sys/devices/system/cpu/cpu3/online && fail "Linux has started the cell's CPU"
for number in 1 2 3 4; do wait_for 60 grep -q well /tmp/storm.$number; done
online 0-2
rtos_reports

echo "timers"
for cpu in 0 1 2; do
    # In hundredths of a second. QEMU may be slow, but no timer is early, and none is lost.
    began=$(sed 's/ .*//; s/\.//' /proc/uptime)
    taskset -c $cpu usleep 500000
    took=$(($(sed 's/ .*//; s/\.//' /proc/uptime) - began))
    { [ $took -ge 49 ] && [ $took -lt 300 ]; } || fail "0.5 s on CPU $cpu took $took/100 s"
done

echo "the UART of Linux, and a device with interrupts"
yes "a line of some length for Linux's own UART" | head -n 100 > /dev/ttyAMA0
echo "and its end" > /dev/ttyAMA0
interrupts() {
    awk '$NF ~ /^virtio/ { for (i = 2; i < NF - 3; i++) n += $i } END { print n }' /proc/interrupts
}
before=$(interrupts)
for number in 1 2 3 4 5 6 7 8 9 10; do echo "to a virtio device: $number"; usleep 10000; done
[ "$(interrupts)" -ge $((before + 5)) ] || fail "few interrupts of it: $before before, $(interrupts) after"

echo "every CPU has its tick, and nothing is stuck"
first=$(sed -n 's/^ *[0-9]*: \(.*\) GICv3 .* arch_timer$/\1/p' /proc/interrupts)
sleep 1
second=$(sed -n 's/^ *[0-9]*: \(.*\) GICv3 .* arch_timer$/\1/p' /proc/interrupts)
for column in 1 2 3; do
    [ "$(echo "$first" | awk "{print \$$column}")" != "$(echo "$second" | awk "{print \$$column}")" ] ||
        fail "CPU $((column - 1)) has no timer interrupts: $first, $second"
done
uart1-wait 20 '^rtos: 5 s' || true
rtos_reports
is "the cell" "$(state rtos)" running
bulkhead cell destroy rtos
online 0-3
