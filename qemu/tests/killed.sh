#!/bin/sh
# A command that is killed in the midst of its work, any work, leaves nothing half done: the next command can go on.
# run: --timeout 300
. /usr/lib/scenario.sh
cell /tmp/big.dts big 'memory = <0 0x3000000>;' 'devices = "/pl031@9010000";'
head -c 40000000 /dev/zero > /tmp/big.bin
clock=$(readlink /sys/bus/amba/devices/9010000.pl031/driver || echo none)
pages=$(field hv_pages_free)
pool=$(field pool_free)

# killed MICROSECONDS COMMAND...: kills it after that time, and waits for its end.
killed() {
    local after="$1"
    status=0
    shift
    "$@" > /dev/null 2>&1 &
    usleep "$after"
    kill -KILL $! 2> /dev/null || true
    wait $! || status=$?
    # 137: killed; 0: it was quicker.
    echo "$* killed after $after us: $status"
    { [ $status = 137 ] && deaths=$((deaths + 1)); } || [ $status = 0 ] || fail "another end: $status"
}

# Whatever there is of it, the cell can be destroyed, and then all is as in the beginning.
cleaned() {
    if bulkhead cell destroy big > /tmp/destroy.out 2>&1; then
        :
    else
        grep -q "no cell named 'big'" /tmp/destroy.out || fail "destroy: $(cat /tmp/destroy.out)"
    fi
    online 0-3
    is "the hypervisor's free pages" "$(field hv_pages_free)" "$pages"
    is "free memory for cells" "$(field pool_free)" "$pool"
    is "the clock's driver" "$(readlink /sys/bus/amba/devices/9010000.pl031/driver || echo none)" "$clock"
}

deaths=0
for after in 40000 80000 160000 240000 320000 500000; do
    killed $after bulkhead cell create /tmp/big.dts
    # Given again it makes the cell, whatever is there of it, unless it was through with it.
    left=$(ls /run/bulkhead/big.create 2> /dev/null || true)
    if ! bulkhead cell create /tmp/big.dts > /tmp/create.out 2>&1; then
        [ -z "$left" ] || fail "create after one that was killed: $(cat /tmp/create.out)"
        grep -q "has this name already" /tmp/create.out || fail "$(cat /tmp/create.out)"
    fi
    says "^big: created" bulkhead cell show big
    says "is loaded" bulkhead cell load big $inmates/hostile.elf
    # It is used now: no later command takes it for one that was left.
    refused 1 "has this name already" bulkhead cell create /tmp/big.dts
    cleaned
done
for after in 30000 60000 90000 150000 250000; do
    create /tmp/big.dts
    killed $after bulkhead cell load big /tmp/big.bin
    says "big: (created|loading|loaded)" bulkhead cell show big
    cleaned
done
[ $deaths -ge 4 ] || fail "only $deaths of 11 commands were killed in time"
for after in 20000 40000 80000; do
    create /tmp/big.dts
    bulkhead cell load big $inmates/hostile.elf > /dev/null
    killed $after bulkhead cell start big
    is_state big running || bulkhead cell start big > /dev/null
    killed $after bulkhead cell stop big
    killed $after bulkhead cell destroy big
    cleaned
done
for after in 20000 60000 120000 250000; do
    killed $after bulkhead disable
    if bulkhead disable > /dev/null 2>&1; then :; fi
    killed $after bulkhead enable
    if bulkhead enable > /dev/null 2>&1; then :; fi
    says "enabled: 4 CPUs" bulkhead status
    online 0-3
done

create /tmp/big.dts
bulkhead cell load big /tmp/big.bin
bulkhead cell destroy big
run_rtos
bulkhead cell destroy rtos
bulkhead disable
online 0-3
