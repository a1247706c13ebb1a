#!/bin/sh
# With a nanosecond an instruction: root's work without Bulkhead and with it (`fork500 MODE NANOSECONDS`), and all that
# inmates/bench measures of itself, which goes to the cell's UART.
. /usr/lib/scenario.sh

now() {
    sed -n 's/^now at \([0-9]*\) nsecs/\1/p' /proc/timer_list
}

fork500() {
    local begin
    for _ in 1 2 3 4; do
        begin=$(now)
        sh /root/fork500.sh
        echo "fork500 $1 $(($(now) - begin))"
    done
}

modprobe bulkhead
sh /root/fork500.sh  # the first is slower, by what it brings into memory
for _ in 1 2 3 4 5 6; do  # in turns, so that a slow change of the machine falls on both
    fork500 without
    bulkhead enable > /dev/null
    fork500 with
    bulkhead disable > /dev/null
done

bulkhead enable > /dev/null
sed 's/^};/\tbootargs = "figures";\n&/' $cells/bench.dts > /tmp/bench.dts
create /tmp/bench.dts
bulkhead cell load bench $inmates/bench.elf > /dev/null
bulkhead cell start bench > /dev/null
uart1-wait 400 '^bench done$' > /dev/null
