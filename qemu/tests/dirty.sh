#!/bin/sh
# A CPU that enters a cell carries nothing of who had it before, nor do the cell's interrupts and RAM; root's CPU works.
# run: --timeout 240
# run: --timeout 240 --cpu max --append "kvm-arm.mode=nvhe kvm-arm.mode=none"
# run: --machine virt-v2 --timeout 240
# uart1-not: WRONG|panicked
. /usr/lib/scenario.sh

# dirty WORDS [DELIVERY]: creates the cell on CPU 3 that obeys them, and starts it.
dirty() {
    cell /tmp/dirty.dts dirty "cpus = \"/cpus/cpu@3\"; devices = \"serial1\"; console = \"serial1\"; bootargs = \"$1\";
        interrupts = \"${2:-direct}\";"
    create /tmp/dirty.dts
    bulkhead cell load dirty $inmates/dirty.elf > /dev/null
    bulkhead cell start dirty > /dev/null
}

clean() {
    uart1-wait 60 '^dirty: .* registers looked at'
    uart1-wait 60 '^dirty: 0 traces of who was here before: right'
}

for delivery in direct listed; do
    echo "after Linux; then after itself, with $delivery delivery"
    dirty "look fill spoil=off" $delivery
    clean
    uart1-wait 60 'interrupts spoilt, 4 of 4 to be seen: right' > /dev/null
    uart1-wait 60 'registers hold dirt: right'
    wait_for 10 is_state dirty stopped
    bulkhead cell start dirty > /dev/null
    clean
    uart1-wait 60 'registers hold dirt: right' > /dev/null
    wait_for 10 is_state dirty stopped
    bulkhead cell destroy dirty > /dev/null
done

echo "Linux after it"
online 0-3
taskset -c 3 awk 'BEGIN { for (x = i = 1; i < 200000; i++) x = x + 1 / (i * i); if (x < 2.6 || x > 2.7) exit 1 }' ||
    fail "floating point on CPU 3"

# With the other delivery each time: what one leaves behind, the other finds.
for before in direct listed; do
    after=listed
    [ $before = direct ] || after=direct
    echo "$after delivery, after it was stopped with everything set, with $before delivery"
    dirty "look zeros fill spoil=spin" $before
    clean
    uart1-wait 60 '^dirty: 0 words of RAM that are not zero: right'
    uart1-wait 60 'registers hold dirt: right' > /dev/null
    bulkhead cell destroy dirty > /dev/null
    online 0-3
    dirty "look zeros" $after
    clean
    uart1-wait 60 '^dirty: 0 words of RAM that are not zero: right'
    bulkhead cell destroy dirty > /dev/null
    online 0-3
done
bulkhead disable
online 0-3
