#!/bin/sh
# Without PSCI: a CPU that Linux has never touched runs cells, waits in a pen while Bulkhead is not enabled, and is found there again,
# by another load of the module too. One that Linux has is refused by the boot argument that would free it.
# run: --machine virt-spin --timeout 240
# run: --machine raspi4b --timeout 400
# uart1-not: WRONG
. /usr/lib/scenario.sh
bulkhead doctor --json | grep -o '"/cpus/cpu@3 wait for cells[^"]*"' || fail "doctor: $(bulkhead doctor)"
says 'cpu@3 +0x3 +root' bulkhead map

if [ ! -e /proc/device-tree/psci ]; then
    echo "a CPU of Linux's"
    sed 's/cpus = .*;/cpus = "\/cpus\/cpu@2";/' $cells/rtos.dts > /tmp/two.dts
    refused 1 "/cpus/cpu@2 is Linux's, which cannot give it up .*boot Linux with nr_cpus=2" bulkhead cell create /tmp/two.dts
    sed 's/cpus = .*;/cpus = <2>;/' $cells/rtos.dts > /tmp/two.dts
    refused 1 "<2> CPUs wanted, 1 can be had" bulkhead cell create /tmp/two.dts
fi

echo "there and back"
number=0
while [ $number -lt 12 ]; do
    number=$((number + 1))
    [ $((number % 4)) != 1 ] || { run_rtos; online 0-2; bulkhead cell destroy rtos > /dev/null; }
    bulkhead disable > /dev/null || fail "disable $number"
    online 0-2
    if [ $((number % 3)) = 0 ]; then rmmod bulkhead && modprobe bulkhead || fail "reload $number"; fi
    bulkhead enable > /dev/null || fail "enable $number"
done
pen=$(hexdump -e '8/1 "%02x"' /proc/device-tree/cpus/bulkhead,pen)
echo "the pen is at $pen"
run_rtos
bulkhead cell destroy rtos > /dev/null
bulkhead disable
online 0-2
is "the pen" "$(hexdump -e '8/1 "%02x"' /proc/device-tree/cpus/bulkhead,pen)" "$pen"
