#!/bin/sh
# Cells that send SGIs to all, write all of the interrupt controller, make up calls, spin with interrupts masked or loop
# in a vector: Linux and the cell beside them run on; those cells are stopped and destroyed like any other.
# run: --timeout 240
# uart1: ^bad: gic: ISENABLER1 reads 0x100$
# uart1: ^bad: cpu-on: asked for 69, 0 started$
# uart1-not: WRONG
# uart1-not: ^bad: gic: ISENABLER[0-9]* reads 0x([^1]|1[^0]|10[^0]|100.)
. /usr/lib/scenario.sh

# What the cell itself sees of it: only its own interrupt, 40, was there to be taken.
cell /tmp/bad.dts bad 'devices = "serial1"; console = "serial1"; bootargs = "sgi-all gic smc cpu-on";'
create /tmp/bad.dts
bulkhead cell load bad $inmates/bad.elf > /dev/null
bulkhead cell start bad > /dev/null
uart1-wait 30 '^bad: done' > /dev/null
bulkhead cell destroy bad
online 0-3

run_rtos

# bad WORDS: starts the cell that obeys them, on CPU 2.
bad() {
    echo "$1"
    cell /tmp/bad.dts bad "bootargs = \"$1\";"
    create /tmp/bad.dts
    bulkhead cell load bad $inmates/bad.elf > /dev/null
    bulkhead cell start bad > /dev/null
}

# unharmed STATE...: the bad cell is in one of these states, everyone else works.
unharmed() {
    local is_there="" wanted
    for wanted in "$@"; do
        if is_state bad "$wanted"; then is_there=yes; fi
    done
    [ "$is_there" ] || fail "bad is $(state bad): $(bulkhead cell show bad)"
    is "the other cell" "$(state rtos)" running
    online 0-1
    rtos_reports
}

gone() {
    bulkhead cell destroy bad > /dev/null
    online 0-2
}

for words in sgi-all gic smc cpu-on; do
    bad $words
    unharmed running
    gone
done

bad unaligned
wait_for 10 is_state bad failed
says "cpu@2: access that cannot be decoded to 0x0*8000000 .*the interrupt controller" bulkhead cell show bad
unharmed failed
gone

for words in spin wfi vector-loop; do
    bad $words
    usleep 500000
    unharmed running failed
    if is_state bad running; then bulkhead cell stop bad > /dev/null; fi
    bulkhead cell start bad > /dev/null
    unharmed running failed
    gone
done

bad off
wait_for 10 is_state bad stopped
unharmed stopped
bulkhead cell start bad > /dev/null
wait_for 10 is_state bad stopped
gone
bad reset
unharmed running
bulkhead cell stop bad
unharmed stopped
gone

is "faults of the hypervisor" "$(bulkhead status --json | grep '"panic"' | tr -d ' ,')" '"panic":null'
echo "what it meddled with still works for Linux"
interrupts=$(cat /proc/interrupts)
echo "one more line by virtio"
usleep 200000
[ "$(cat /proc/interrupts)" != "$interrupts" ] || fail "no interrupts"
bulkhead cell destroy rtos
online 0-3
bulkhead disable
online 0-3
