#!/bin/sh
# Each machine by the same steps: the RTOS on the cell's UART, a cell of two CPUs, one that does wrong, 20 lives of a cell, and
# Bulkhead itself gone and come back; all CPUs return.
# run: --machine virt-v3 --timeout 300
# run: --machine virt-v3 --kernel 6.1 --timeout 300
# run: --machine virt-v2 --timeout 300
# run: --machine virt-v2 --kernel 6.1 --timeout 300
# run: --machine imx8mp --timeout 300
# run: --machine imx8mp --kernel 6.1 --timeout 300
# run: --machine zcu102 --timeout 300
# run: --machine zcu102 --kernel 6.1 --timeout 300
# run: --machine raspi4b --append nr_cpus=2 --timeout 600
# run: --machine raspi4b --kernel 6.1 --append nr_cpus=2 --timeout 600
# run: --machine versal --timeout 300
# run: --machine versal --kernel 6.1 --timeout 300
# uart1: ^rtos: 2 s: .* right
# uart1-not: WRONG
. /usr/lib/scenario.sh
cpus=$(ls -d /proc/device-tree/cpus/cpu@* | wc -l)
linux=$(cat /sys/devices/system/cpu/online)
spare=$((cpus - $(nproc)))  # CPUs that Linux never had, for cells; where there are none, cells get Linux's

# given COUNT: cells have that many CPUs, Linux all others that are its own.
given() {
    local last=${linux#0-}
    [ $spare != 0 ] || last=$((last - $1))
    [ "$last" = 0 ] && online 0 || online "0-$last"
}

# like_rtos NAME SED: another cell with the devices of the board's RTOS cell.
like_rtos() {
    sed "s/model = \"rtos\"/model = \"$1\"/; $2" $cells/rtos.dts > "/tmp/$1.dts"
}

echo "the RTOS cell"
bulkhead doctor | grep -v '^ok' || true
run_rtos
uart1-wait 20 '^rtos: ([2-9]|[0-9]{2,}) s: .* right'
given 1
bulkhead cell list
bulkhead cell destroy rtos > /dev/null
given 0

if [ "$cpus" -gt 2 ]; then
    echo "a cell of two CPUs"
    like_rtos smp 's/cpus = .*;/cpus = <2>;/'
    create /tmp/smp.dts
    bulkhead cell load smp $inmates/smp.elf > /dev/null
    bulkhead cell start smp > /dev/null
    uart1-wait 60 '^smp: 2 CPUs: all right'
    given 2
    bulkhead cell destroy smp > /dev/null
fi

echo "a cell that does wrong"
create $cells/bad.dts
bulkhead cell load bad $inmates/hostile.elf > /dev/null
bulkhead cell start bad > /dev/null
wait_for 10 is_state bad failed
bulkhead cell show bad | grep 'last fault: cell bad, .* owned by root' || fail "no such record: $(bulkhead cell show bad)"
bulkhead cell destroy bad > /dev/null

echo "20 lives"
pool=$(field pool_free)
number=0
while [ $number -lt 20 ]; do
    number=$((number + 1))
    create $cells/rtos.dts
    bulkhead cell load rtos $inmates/rtos.elf > /dev/null
    bulkhead cell start rtos > /dev/null
    [ $((number % 10)) != 0 ] || rtos_reports
    bulkhead cell destroy rtos > /dev/null
done
is "free memory for cells" "$(field pool_free)" "$pool"
given 0

echo "gone, and come back"
for number in 1 2 3; do
    bulkhead disable > /dev/null
    given 0
    bulkhead enable > /dev/null
done
run_rtos
bulkhead cell destroy rtos > /dev/null
bulkhead disable
given 0
dmesg | grep 'Call trace:' && fail "the kernel complains"
exit 0
