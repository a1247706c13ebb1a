#!/bin/sh
# `bulkhead run` does all of it in one go, and undoes all of it when it fails, is interrupted or has died.
# run: --no-enable --timeout 300
. /usr/lib/scenario.sh
rtos="$cells/rtos.dts $inmates/rtos.elf"
module() { [ -e /sys/module/bulkhead ]; }

# untouched: nothing is left of a run: no module, no cell, no record, all CPUs.
untouched() {
    if module; then fail "the module is still loaded: $(bulkhead status)"; fi
    online 0-3
    is "records" "$(ls /run/bulkhead 2> /dev/null)" ""
}

echo "in one go, to stay"
says "cell 'rtos' is running" bulkhead run $rtos
rtos_reports
is "records" "$(ls /run/bulkhead)" "$(printf 'rtos.json\nrtos.symbols')"
refused 1 "cell 'rtos' exists already, it is running: .*cell restart rtos.*cell destroy rtos" bulkhead run $rtos
bulkhead cell destroy rtos
bulkhead disable
rmmod bulkhead
untouched

echo "wrong before anything is done"
refused 5 "No such file" bulkhead run $cells/rtos.dts /tmp/nothing
refused 5 "No such file" bulkhead run /tmp/nothing.dts $inmates/rtos.elf
: > /tmp/empty
refused 1 "/tmp/empty: there is nothing to load in it: it is empty, 0 bytes" bulkhead run $cells/rtos.dts /tmp/empty
untouched

echo "a failure in the middle: at create, then at load"
cell /tmp/wrong.dts wrong 'cpus = "/cpus/cpu@9";'
refused 3 "no node '/cpus/cpu@9'.*; what was done has been undone" bulkhead run /tmp/wrong.dts $inmates/rtos.elf
untouched
cell /tmp/covered.dts covered 'devices = "/pl031@9010000";'
head -c 2097152 /dev/zero > /tmp/covers.bin
clock=$(readlink /sys/bus/amba/devices/9010000.pl031/driver || echo none)
refused 1 "covers the place of the cell's device tree.*; what was done has been undone" \
    bulkhead run /tmp/covered.dts /tmp/covers.bin
untouched
is "the clock's driver" "$(readlink /sys/bus/amba/devices/9010000.pl031/driver || echo none)" "$clock"

echo "--rm: until Ctrl-C, until the cell stops, until it fails"
bulkhead run --rm $rtos > /tmp/run.out 2>&1 &
rtos_reports
refused 1 "another .bulkhead run. of cell 'rtos' is at work" bulkhead run $rtos
kill -INT $!
wait $! || fail "run --rm: exit code $?: $(cat /tmp/run.out)"
grep "cell 'rtos' is destroyed: interrupted" /tmp/run.out || fail "$(cat /tmp/run.out)"
untouched
sed 's/bootargs = .*/bootargs = "off";/' $cells/bad.dts > /tmp/off.dts
says "cell 'bad' is destroyed: it has stopped" bulkhead run --rm /tmp/off.dts $inmates/hostile.elf
untouched
modprobe bulkhead
bulkhead enable > /dev/null
says "cell 'bad' is destroyed: it has stopped" bulkhead run --rm /tmp/off.dts $inmates/hostile.elf
says "enabled: 4 CPUs, 0 cells" bulkhead status
bulkhead disable > /dev/null
rmmod bulkhead

echo "Ctrl-C in the middle"
cell /tmp/large.dts large 'memory = <0 0x3000000>;' 'devices = "/pl031@9010000";'
# An instruction that branches to itself, and zeros.
{ printf '\000\000\000\024'; head -c 40000000 /dev/zero; } > /tmp/large.bin
interrupted=0
for after in 50000 150000 300000 600000; do
    status=0
    bulkhead run /tmp/large.dts /tmp/large.bin > /tmp/run.out 2>&1 &
    usleep $after
    kill -INT $!
    wait $! || status=$?
    echo "interrupted after $after us: $status: $(tail -n 1 /tmp/run.out)"
    case $status in
        130) interrupted=$((interrupted + 1)) ;;
        0) bulkhead cell destroy large; bulkhead disable; rmmod bulkhead ;;
        *) fail "another end: $status" ;;
    esac
    untouched
done
[ $interrupted -ge 2 ] || fail "only $interrupted of 4 were interrupted in time"

echo "killed, and repeated"
deaths=0
for after in 30000 90000 200000 350000 500000 800000; do
    status=0
    bulkhead run --rm /tmp/large.dts /tmp/large.bin > /dev/null 2>&1 &
    usleep $after
    kill -KILL $!
    wait $! || status=$?
    echo "killed after $after us: $status: $(ls /run/bulkhead 2> /dev/null | tr '\n' ' ')"
    [ $status != 137 ] || deaths=$((deaths + 1))
    # What is repeated ends as if nothing had been: it stops the cell that the dead one left running.
    status=0
    bulkhead run --rm /tmp/large.dts /tmp/large.bin > /tmp/run.out 2>&1 &
    wait_for 20 is_state large running
    kill -TERM $!
    wait $! || fail "the repeated run: exit code $?: $(cat /tmp/run.out)"
    if module; then rmmod bulkhead; fi
    untouched
done
[ $deaths -ge 4 ] || fail "only $deaths of 6 were killed in time"
is "the clock's driver" "$(readlink /sys/bus/amba/devices/9010000.pl031/driver || echo none)" "$clock"
