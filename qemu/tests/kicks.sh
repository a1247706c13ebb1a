#!/bin/sh
# Cells that spin, sleep, mask by DAIF or by priority, loop in their vectors or are in an interrupt come each of many times that they are told
# to stop, and Linux works on their CPU then, on machines with one security state and with two; and 20 lives of a cell leave nothing behind.
# run: --timeout 300
# run: --machine versal --timeout 300
# run: --machine virt-v2 --timeout 300
. /usr/lib/scenario.sh
rounds=4
states=$(field security_states)
last=$(($(nproc) - 1))
echo "$states security states"
says "(one|two) security state" bulkhead status
says "(one|two) security state" bulkhead doctor

# kicks: of the CPU that cells get.
kicks() {
    bulkhead cell stats bad --json | tr -d ' \n' | sed -n 's/.*"kick":\([0-9]*\).*/\1/p'
}

# comes WORDS [DELIVERY]: a cell that obeys them is stopped in each round, without a fault and without being waited for.
comes() {
    local round=0 before last_word=${1##* }
    echo "'$1' ${2:-}"
    sed "s/bootargs = .*/bootargs = \"$1\"; interrupts = \"${2:-direct}\";/" $cells/bad.dts > /tmp/bad.dts
    create /tmp/bad.dts
    bulkhead cell load bad $inmates/hostile.elf > /dev/null
    before=$(kicks)
    while [ $round -lt $rounds ]; do
        round=$((round + 1))
        bulkhead cell start bad > /dev/null
        uart1-wait 20 "^hostile: $last_word\$" > /dev/null
        bulkhead cell stop bad > /dev/null || fail "round $round: stop"
        is "the state after round $round" "$(state bad)" stopped
    done
    [ "$(kicks)" -ge $((before + rounds)) ] || fail "$(kicks) kicks, $before before"
    bulkhead cell destroy bad > /dev/null
    online "0-$last"
}

# With nothing more to do it sleeps, its interrupts open.
for words in spin wfi nothing "pmr spin" "deaf spin" "active spin" "unended spin"; do
    comes "$words"
done
if ! has_gicv2; then
    comes pmr
    comes "pmr wfi"
else
    # All that with direct delivery nothing would end there (hv/README.md, "Known weaknesses").
    for words in "pmr wfi" "deaf wfi" "active wfi" "unended wfi" "full wfi" vector-loop; do
        comes "$words" listed
    done
fi
if has_fiq_kicks; then
    comes "deaf wfi"
    comes vector-loop
fi

bulkhead log | grep -E "fenced|fault" && fail "a cell did not come"
# On virt lifecycle sees to that.
[ "$states" != 1 ] || exit 0
echo "20 lives"
pages=$(field hv_pages_free)
pool=$(field pool_free)
number=0
while [ $number -lt 20 ]; do
    number=$((number + 1))
    create $cells/rtos.dts
    bulkhead cell load rtos $inmates/rtos.elf > /dev/null
    bulkhead cell start rtos > /dev/null
    [ $((number % 10)) != 0 ] || rtos_reports
    bulkhead cell stop rtos > /dev/null
    bulkhead cell destroy rtos > /dev/null
done
is "the hypervisor's free pages" "$(field hv_pages_free)" "$pages"
is "free memory for cells" "$(field pool_free)" "$pool"
online "0-$last"
bulkhead disable
online "0-$last"
